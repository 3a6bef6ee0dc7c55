package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/lib/pq"
)

// A table is all that a program keeps in its database: a row a visit.
type table struct {
	*sql.DB
	name string
	row  string // what inserts one
}

// postgres opens the database that a URL names. Whoever needs it waits with ready.
func postgres(u *url.URL, name string) (*table, error) {
	query := u.Query()
	if !query.Has("connect_timeout") {
		query.Set("connect_timeout", "3")
	}
	u.RawQuery = query.Encode()
	connector, err := pq.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	return &table{sql.OpenDB(connector), name, "insert into " + name + " default values"}, nil
}

func mariadb(host, db, user, password, name string) (*table, error) {
	if !strings.Contains(host, ":") {
		host += ":3306"
	}
	c := mysql.NewConfig()
	c.Net, c.Addr, c.DBName, c.User, c.Passwd, c.Timeout = "tcp", host, db, user, password, 3*time.Second
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return &table{sql.OpenDB(connector), name, "insert into " + name + " () values ()"}, nil
}

// ready waits for the database as long as the program would, and makes the table.
func (t *table) ready(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := t.make(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no database after %v: %w", patience, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// make is safe when several do it at once.
func (t *table) make(ctx context.Context) error {
	if _, mysql := t.Driver().(*mysql.MySQLDriver); mysql {
		_, err := t.ExecContext(ctx, "create table if not exists "+t.name+
			" (id bigint auto_increment primary key, made timestamp default current_timestamp)")
		return err
	}
	tx, err := t.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	_, err = tx.ExecContext(ctx, "select pg_advisory_xact_lock(1)")
	_, err2 := tx.ExecContext(ctx, "create table if not exists "+t.name+
		" (id bigserial primary key, made timestamptz default now())")
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	return tx.Commit()
}

func (t *table) visit(ctx context.Context) (int, error) {
	if _, err := t.ExecContext(ctx, t.row); err != nil {
		return 0, err
	}
	return t.count(ctx)
}

func (t *table) count(ctx context.Context) (n int, err error) {
	err = t.QueryRowContext(ctx, "select count(*) from "+t.name).Scan(&n)
	return n, err
}

// ask is one value of one row, as text.
func (t *table) ask(query string, args ...any) (s string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = t.QueryRowContext(ctx, query, args...).Scan(&s)
	return s, err
}

// ping asks a Redis or Valkey whether it is there and lets us in.
func ping(address, password string) error {
	conn, err := net.DialTimeout("tcp", address, 3*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(3 * time.Second))
	commands := [][]string{{"PING"}}
	if password != "" {
		commands = [][]string{{"AUTH", password}, {"PING"}}
	}
	answers := bufio.NewReader(conn)
	var answer string
	for _, c := range commands {
		fmt.Fprintf(conn, "*%d\r\n", len(c))
		for _, word := range c {
			fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(word), word)
		}
		if answer, err = answers.ReadString('\n'); err != nil {
			return err
		}
	}
	if answer != "+PONG\r\n" {
		return fmt.Errorf("it answers %q", strings.TrimSpace(answer))
	}
	return nil
}
