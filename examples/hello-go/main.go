// The smallest useful function: it greets, and tells how often this execution environment has been used.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

type request struct {
	Name string `json:"name"`
}

type response struct {
	Message     string `json:"message"`
	Invocations int    `json:"invocations"`
}

var invocations int

func greet(_ context.Context, event request) (response, error) {
	invocations++
	fmt.Printf("invocation %d of %s\n", invocations, os.Getenv("AWS_LAMBDA_LOG_STREAM_NAME"))
	if event.Name == "" {
		event.Name = "world"
	}
	return response{Message: fmt.Sprintf("Hello, %s!", event.Name), Invocations: invocations}, nil
}

func main() {
	lambda.Start(greet)
}
