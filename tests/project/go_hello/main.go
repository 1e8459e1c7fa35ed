// A function for the tests: echoes its event, and fails when it is told to.
package main

import (
	"context"
	"errors"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Key   string `json:"key"`
	Fail  string `json:"fail,omitempty"`
	Panic string `json:"panic,omitempty"`
	Large int    `json:"large,omitempty"`
}

type answer struct {
	Key           string `json:"key"`
	RequestID     string `json:"request_id"`
	ARN           string `json:"arn"`
	Trace         string `json:"trace"`
	Client        string `json:"client"`
	Identity      string `json:"identity"`
	Deadline      int64  `json:"deadline"`
	ServerPort    bool   `json:"server_port"`
	Invocations   int    `json:"invocations"`
	FunctionName  string `json:"function_name"`
	LargeResponse string `json:"large_response,omitempty"`
}

var invocations int

func handle(ctx context.Context, e event) (*answer, error) {
	invocations++
	if e.Fail != "" {
		return nil, errors.New(e.Fail)
	}
	if e.Panic != "" {
		panic(e.Panic)
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	_, legacy := os.LookupEnv("_LAMBDA_SERVER_PORT")
	large := make([]byte, e.Large)
	for i := range large {
		large[i] = 'x'
	}
	return &answer{
		Key:           e.Key,
		RequestID:     lc.AwsRequestID,
		ARN:           lc.InvokedFunctionArn,
		Trace:         os.Getenv("_X_AMZN_TRACE_ID"),
		Client:        lc.ClientContext.Custom["who"],
		Identity:      lc.Identity.CognitoIdentityID,
		Deadline:      deadline.UnixMilli(),
		ServerPort:    legacy,
		Invocations:   invocations,
		FunctionName:  lambdacontext.FunctionName,
		LargeResponse: string(large),
	}, nil
}

func main() {
	lambda.Start(handle)
}
