// A gRPC server and client without generated code, for the test beside: messages are bytes.
//
//	grpc serve PORT
//	grpc call PORT COUNT
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = append([]byte(nil), data...); return nil }
func (raw) Name() string                       { return "raw" }

var stream = &grpc.StreamDesc{StreamName: "any", ServerStreams: true, ClientStreams: true}

// Answers by the method's name, whatever the service.
func handle(_ any, s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	if method == "/live.Go/Fail" || method == "/live.Go/Down" {
		// An answer before the request was read would spare the client to send it.
		if err := s.RecvMsg(new([]byte)); err != nil {
			return err
		}
	}
	switch method {
	case "/live.Go/Fail":
		return status.Error(codes.NotFound, "no such thing: 100 %")
	case "/live.Go/Slow":
		<-s.Context().Done()
		return s.Context().Err()
	case "/live.Go/Down":
		for i := 0; i < 5; i++ {
			if err := send(s, fmt.Sprintf("item %d", i)); err != nil {
				return err
			}
		}
		return nil
	}
	// Unary, client streaming, both streaming: what came is answered, at once or at the end.
	count := 0
	for {
		var message []byte
		err := s.RecvMsg(&message)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		count++
		if method == "/live.Go/Both" {
			if err := send(s, string(message)); err != nil {
				return err
			}
		}
	}
	if method == "/live.Go/Both" {
		return nil
	}
	return send(s, fmt.Sprintf("%d messages", count))
}

func send(s interface{ SendMsg(any) error }, text string) error {
	message := []byte(text)
	return s.SendMsg(&message)
}

func serve(port string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return grpc.NewServer(grpc.UnknownServiceHandler(handle)).Serve(listener)
}

// Sends so many messages and reads to the end; answers the number of messages and the code.
func call(conn *grpc.ClientConn, method string, messages int, timeout time.Duration) (int, codes.Code) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s, err := conn.NewStream(ctx, stream, method)
	if err != nil {
		return 0, status.Code(err)
	}
	for i := 0; i < messages; i++ {
		if err := send(s, fmt.Sprintf("message %d", i)); err != nil {
			break
		}
	}
	_ = s.CloseSend()
	for count := 0; ; count++ {
		var message []byte
		if err := s.RecvMsg(&message); err != nil {
			if errors.Is(err, io.EOF) {
				return count, codes.OK
			}
			return count, status.Code(err)
		}
	}
}

func client(port string, count int) error {
	conn, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, each := range []struct {
		method         string
		sent, received int
		code           codes.Code
	}{
		{"/live.Go/One", 1, 1, codes.OK},
		{"/live.Go/Up", 4, 1, codes.OK},
		{"/live.Go/Down", 1, 5, codes.OK},
		{"/live.Go/Both", 3, 3, codes.OK},
		{"/live.Go/Fail", 1, 0, codes.NotFound},
	} {
		done := make(chan error, count)
		for i := 0; i < count; i++ {
			go func() {
				received, code := call(conn, each.method, each.sent, time.Minute)
				if received != each.received || code != each.code {
					done <- fmt.Errorf("%s: %d messages, %v", each.method, received, code)
				} else {
					done <- nil
				}
			}()
		}
		for i := 0; i < count; i++ {
			if err := <-done; err != nil {
				return err
			}
		}
	}
	if _, code := call(conn, "/live.Go/Slow", 1, 200*time.Millisecond); code != codes.DeadlineExceeded {
		return fmt.Errorf("slow: %v", code)
	}
	return nil
}

func main() {
	encoding.RegisterCodec(raw{})
	var err error
	if os.Args[1] == "serve" {
		err = serve(os.Args[2])
	} else {
		count, _ := strconv.Atoi(os.Args[3])
		err = client(os.Args[2], count)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
