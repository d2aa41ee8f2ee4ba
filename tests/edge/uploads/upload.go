// 10 MB to the first argument; prints status and text.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	answer, err := http.Post(os.Args[1], "application/json", bytes.NewReader(make([]byte, 10485760)))
	if err != nil {
		fmt.Print(err)
		os.Exit(1)
	}
	text, err := io.ReadAll(answer.Body)
	fmt.Print(answer.StatusCode, " ", string(text))
	if err != nil {
		fmt.Print(" ", err)
		os.Exit(1)
	}
}
