package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	nextcloudRoot   = "/var/www/html"
	nextcloudConfig = nextcloudRoot + "/config/config.php"

	// The file is PHP, and its values are JSON: so both can read it.
	phpBefore = "<?php\n$CONFIG = json_decode(<<<'JSON'\n"
	phpAfter  = "\nJSON, true);\n"
)

// A ncConfig is config.php.
type ncConfig map[string]any

func readConfig() (config ncConfig, err error) {
	b, err := os.ReadFile(nextcloudConfig)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSuffix(strings.TrimPrefix(string(b), phpBefore), phpAfter)
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return nil, fmt.Errorf("%s is not as it was written: %w", nextcloudConfig, err)
	}
	return config, nil
}

func (c ncConfig) write() error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	part := nextcloudConfig + ".part"
	if err := os.WriteFile(part, []byte(phpBefore+string(b)+phpAfter), 0o640); err != nil {
		return err
	}
	return os.Rename(part, nextcloudConfig)
}

// get is a scalar as text. The environment may have another value for it.
func (c ncConfig) get(name string) string {
	if value, ok := os.LookupEnv("NC_" + name); ok {
		return value
	}
	if c[name] == nil {
		return ""
	}
	return fmt.Sprint(c[name])
}

func (c ncConfig) list(name string) (out []string) {
	items, _ := c[name].([]any)
	for _, item := range items {
		out = append(out, fmt.Sprint(item))
	}
	return out
}

// flag is a setting that PHP would take for true.
func (c ncConfig) flag(name string) bool {
	on, err := strconv.ParseBool(c.get(name))
	return err == nil && on
}

func (c ncConfig) database(name string) (*table, error) {
	return mariadb(c.get("dbhost"), c.get("dbname"), c.get("dbuser"), c.get("dbpassword"), name)
}

// setApp keeps a setting of an app, which is in the database.
func (t *table) setApp(app, key string, value any) error {
	_, err := t.ExecContext(context.Background(), `create table if not exists oc_appconfig
		(appid varchar(32), configkey varchar(64), configvalue longtext, primary key (appid, configkey))`)
	if err != nil {
		return err
	}
	_, err = t.ExecContext(context.Background(), "replace into oc_appconfig values (?, ?, ?)", app, key, fmt.Sprint(value))
	return err
}

func (t *table) app(app, key string) (string, error) {
	return t.ask("select configvalue from oc_appconfig where appid = ? and configkey = ?", app, key)
}
