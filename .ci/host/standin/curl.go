package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// curl is as much of it as a health command has use for; what it does not know it refuses.
func curl(args []string) error {
	c := transfer{timeout: time.Minute, method: "GET"}
	for len(args) > 0 {
		used, err := c.option(args)
		if err != nil {
			return c.fail(2, err)
		}
		args = args[used:]
	}
	if c.url == "" {
		return c.fail(2, errors.New("no URL specified"))
	}
	return c.run()
}

type transfer struct {
	fail22, silent, loud, insecure, follow bool
	method, output, url                    string
	timeout                                time.Duration
	headers                                []string
}

// option takes in the first argument, and the next where it belongs to it.
func (c *transfer) option(args []string) (used int, err error) {
	word := args[0]
	if !strings.HasPrefix(word, "-") {
		c.url = word
		return 1, nil
	}
	if long, ok := strings.CutPrefix(word, "--"); ok {
		short, known := map[string]byte{"fail": 'f', "silent": 's', "show-error": 'S', "insecure": 'k',
			"location": 'L', "head": 'I', "output": 'o', "max-time": 'm', "header": 'H'}[long]
		if !known {
			return 0, fmt.Errorf("option %s: is unknown", word)
		}
		word = "-" + string(short)
	}
	for i, letter := range word[1:] {
		switch letter {
		case 'o', 'm', 'H':
			if i != len(word)-2 || len(args) < 2 {
				return 0, fmt.Errorf("option %s: requires parameter", word)
			}
			return 2, c.parameter(letter, args[1])
		default:
			if err := c.flag(letter); err != nil {
				return 0, err
			}
		}
	}
	return 1, nil
}

func (c *transfer) parameter(letter rune, value string) (err error) {
	switch letter {
	case 'o':
		c.output = value
	case 'm':
		c.timeout, err = time.ParseDuration(value + "s")
	case 'H':
		c.headers = append(c.headers, value)
	}
	return err
}

func (c *transfer) flag(letter rune) error {
	switch letter {
	case 'f':
		c.fail22 = true
	case 's':
		c.silent = true
	case 'S':
		c.loud = true
	case 'k':
		c.insecure = true
	case 'L':
		c.follow = true
	case 'I':
		c.method = "HEAD"
	default:
		return fmt.Errorf("option -%c: is unknown", letter)
	}
	return nil
}

func (c *transfer) run() error {
	if !strings.Contains(c.url, "://") {
		c.url = "http://" + c.url
	}
	req, err := http.NewRequest(c.method, c.url, nil)
	if err != nil {
		return c.fail(3, err)
	}
	for _, h := range c.headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Set(name, strings.TrimSpace(value))
		if strings.EqualFold(name, "Host") {
			req.Host = strings.TrimSpace(value)
		}
	}
	res, err := c.client().Do(req)
	if err != nil {
		return c.fail(code(err), err)
	}
	defer res.Body.Close()
	if c.fail22 && res.StatusCode >= 400 {
		return c.fail(22, fmt.Errorf("The requested URL returned error: %d", res.StatusCode))
	}
	return c.save(res)
}

func (c *transfer) client() *http.Client {
	client := &http.Client{
		Timeout:   c.timeout,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: c.insecure}},
	}
	if !c.follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client
}

func (c *transfer) save(res *http.Response) error {
	out := os.Stdout
	if c.output != "" {
		f, err := os.OpenFile(c.output, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return c.fail(23, err)
		}
		defer f.Close()
		out = f
	}
	if c.method == "HEAD" {
		fmt.Fprintf(out, "%s %s\n", res.Proto, res.Status)
		res.Header.Write(out)
	}
	if _, err := io.Copy(out, res.Body); err != nil {
		return c.fail(18, err)
	}
	return nil
}

// code is curl's number for what went wrong on the way.
func code(err error) int {
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &dns):
		return 6
	case errors.As(err, &timeout) && timeout.Timeout():
		return 28
	}
	return 7
}

func (c *transfer) fail(code int, err error) error {
	if !c.silent || c.loud {
		fmt.Fprintf(os.Stderr, "curl: (%d) %v\n", code, err)
	}
	return exitCode(code)
}
