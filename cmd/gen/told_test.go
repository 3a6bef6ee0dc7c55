package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	netmail "net/mail"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A message is what somebody was told, and in which way: the path of a webhook,
// or "mail".
type message struct {
	Way  string
	As   string // who says so: an Authorization, or a user of mail
	To   string
	Body string
}

// A notebook is where messages are written down, one a line, by a process of its own.
type notebook struct {
	sync.Mutex
	file *os.File
}

func (n *notebook) note(m message) {
	n.Lock()
	defer n.Unlock()
	if err := json.NewEncoder(n.file).Encode(m); err != nil {
		panic(err)
	}
}

// serveTold is everybody outside who takes messages: webhooks on port 8099, and
// mail on port 587.
func serveTold(file string) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		panic(err)
	}
	n := &notebook{file: f}
	mails, err := net.Listen("tcp", ":587")
	if err != nil {
		panic(err)
	}
	certificate := selfSigned("mail.example.org")
	go func() {
		for {
			c, err := mails.Accept()
			if err != nil {
				panic(err)
			}
			go n.takeMail(c, certificate)
		}
	}()
	fmt.Println(http.ListenAndServe(":8099", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if len(body) > 0 {
			n.note(message{Way: r.URL.RequestURI(), As: r.Header.Get("Authorization"), Body: string(body)})
		}
	})))
	os.Exit(1)
}

// takeMail speaks as much SMTP as a server must that wants TLS and a password.
func (n *notebook) takeMail(c net.Conn, certificate tls.Certificate) {
	defer c.Close()
	say := textproto.NewConn(c)
	m, encrypted := message{Way: "mail"}, false
	say.PrintfLine("220 mail.example.org")
	for {
		line, err := say.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch verb = strings.ToUpper(verb); {
		case verb == "EHLO" && !encrypted:
			say.PrintfLine("250-mail.example.org\r\n250 STARTTLS")
		case verb == "EHLO":
			say.PrintfLine("250-mail.example.org\r\n250 AUTH PLAIN")
		case verb == "STARTTLS":
			say.PrintfLine("220 go on")
			c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
			say, encrypted = textproto.NewConn(c), true
		case verb == "AUTH" && encrypted:
			words, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			m.As = strings.Trim(string(words), "\x00")
			say.PrintfLine("235 welcome")
		case m.As == "" && verb != "QUIT":
			say.PrintfLine("530 who are you")
		case verb == "RCPT":
			m.To = rest
			say.PrintfLine("250 yes")
		case verb == "DATA":
			say.PrintfLine("354 go on")
			b, err := say.ReadDotBytes()
			if err != nil {
				return
			}
			m.Body = readable(b)
			n.note(m)
			say.PrintfLine("250 noted")
		case verb == "QUIT":
			say.PrintfLine("221 bye")
			return
		default:
			say.PrintfLine("250 yes")
		}
	}
}

// readable is the subject and the text of a mail.
func readable(b []byte) string {
	m, err := netmail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		return "no mail: " + err.Error()
	}
	subject, _ := (&mime.WordDecoder{}).DecodeHeader(m.Header.Get("Subject"))
	text, _ := io.ReadAll(quotedprintable.NewReader(m.Body))
	return subject + "\n" + string(text)
}

func selfSigned(name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// outside starts everybody who is told at the operator's address, and gives what they were.
func (l *lab) outside() (told func() []message) {
	l.Helper()
	file := filepath.Join(l.TempDir(), "told")
	c := exec.Command("../../.ci/host/lab", "net", l.dir, executable(l.T))
	c.Env = append(os.Environ(), "GEN_TEST_AS_TOLD="+file)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { c.Process.Kill(); c.Wait() })
	l.operator("sh", "-c", "for i in $(seq 600); do curl -s http://203.0.113.1:8099/ && exit; sleep 0.1; done; exit 1")
	return func() (all []message) {
		l.Helper()
		b, err := os.ReadFile(file)
		if err != nil {
			l.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			var m message
			if json.Unmarshal([]byte(line), &m) == nil { // the last may be half written
				all = append(all, m)
			}
		}
		return all
	}
}
