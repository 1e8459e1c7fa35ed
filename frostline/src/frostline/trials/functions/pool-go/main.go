// Places an order with a POST, over a connection that is kept for the next one. Which of the three steps of the story it takes is in VARIANT.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

var transports = map[string]*http.Transport{
	// A few fields are set. IdleConnTimeout is not, and zero means no limit: a connection is kept for as long as nobody says that it is dead.
	"incident": {
		MaxIdleConns:        100,
		MaxIdleConnsPerHost: 10,
		TLSHandshakeTimeout: 5 * time.Second,
	},
	// The check: without keep-alives the failure is gone, and every request pays for a new connection.
	"DisableKeepAlives": {
		DisableKeepAlives:   true,
		TLSHandshakeTimeout: 5 * time.Second,
	},
	// The cure: every limit is spelled out, and the idle limit is below the server's, which is 3 seconds.
	"IdleConnTimeout": {
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   10,
		MaxConnsPerHost:       20,
		IdleConnTimeout:       2 * time.Second,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 5 * time.Second,
		ExpectContinueTimeout: time.Second,
	},
}

var client = &http.Client{Transport: transports[os.Getenv("VARIANT")], Timeout: 5 * time.Second}

func order(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("ORDERS_URL"), strings.NewReader(`{"item":"ice","count":1}`))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	// A body that was not read to its end would keep the connection from being used again.
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return "", err
	}
	return fmt.Sprintf("ordered: %s", response.Status), nil
}

func main() {
	lambda.Start(order)
}
