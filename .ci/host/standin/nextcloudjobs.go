package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// nextcloudCron runs one job to see that it may, and becomes the real crond then. What the job looks
// at root may not see: it is without the capability to pass over modes.
func nextcloudCron(args []string) error {
	l := newLook("nextcloud-cron", args)
	l.user("0:0")
	l.caps("SETGID SETUID", "")
	if on := holder(mounts(), nextcloudRoot); on == "/" {
		l.miss("%s is no mount", nextcloudRoot)
	}
	if err := l.end(); err != nil {
		return err
	}
	job := exec.Command("php", "-f", nextcloudRoot+"/cron.php")
	job.Stdout, job.Stderr = os.Stdout, os.Stderr
	job.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{
		Uid: nextcloudUser, Gid: nextcloudUser, Groups: []uint32{nextcloudUser}}}
	if err := job.Run(); err != nil {
		return fmt.Errorf("a job as www-data: %w", err)
	}
	l.tell()
	return become([]string{"busybox", "crond", "-f", "-L", "/dev/stdout"})
}

// nextcloudPHP runs cron.php, or occ as far as backups and a set-up need it.
func nextcloudPHP(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "-f" && args[1] == nextcloudRoot+"/cron.php":
		return nextcloudJobs()
	case len(args) > 1 && strings.TrimPrefix(args[0], nextcloudRoot+"/") == "occ":
		return occ(args[1:])
	}
	return fmt.Errorf("it is not played what php does with %q", args)
}

// nextcloudOwner refuses any user but the one that config.php belongs to.
func nextcloudOwner() (ncConfig, error) {
	info, err := os.Stat(nextcloudConfig)
	if err != nil {
		return nil, err
	}
	if me := strconv.Itoa(os.Getuid()); !strings.HasPrefix(owner(info), me+":") {
		return nil, fmt.Errorf("it must run as who owns %s, which is %s, not as uid %s", nextcloudConfig, owner(info), me)
	}
	return readConfig()
}

func nextcloudJobs() error {
	for _, path := range []string{nextcloudRoot + "/version.php", nextcloudConfig} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s: %w: has the application not been started first?", path, reason(err))
		}
	}
	config, err := nextcloudOwner()
	if err != nil {
		return err
	}
	if config.flag("maintenance") {
		return nil
	}
	jobs, err := config.database("oc_jobs")
	if err != nil {
		return err
	}
	if err := jobs.ready(context.Background(), 10*time.Second); err != nil {
		return err
	}
	n, err := jobs.visit(context.Background())
	log.Printf("cron.php: run %d", n)
	return errors.Join(err, jobs.setApp("core", "lastcron", time.Now().Unix()))
}

// harmless commands change nothing that a stand-in has.
var harmless = []string{"background:cron", "db:add-missing-columns", "db:add-missing-indices",
	"db:add-missing-primary-keys", "files:scan", "maintenance:data-fingerprint",
	"maintenance:repair", "maintenance:update:htaccess"}

func occ(args []string) error {
	config, err := nextcloudOwner()
	if err != nil {
		return err
	}
	switch args[0] {
	case "maintenance:mode":
		on := slices.Contains(args, "--on")
		config["maintenance"] = on
		fmt.Println("Maintenance mode", map[bool]string{true: "enabled", false: "disabled"}[on])
		return config.write()
	case "status":
		fmt.Printf("  - installed: true\n  - version: %s\n  - maintenance: %t\n", config.get("version"), config.flag("maintenance"))
		return nil
	}
	if slices.Contains(harmless, args[0]) {
		return nil
	}
	apps, err := config.database("oc_appconfig")
	if err != nil {
		return err
	}
	return occConfig(config, apps, args[0], args[1:])
}

// occConfig reads and sets what is in config.php, and what is the apps'.
func occConfig(config ncConfig, apps *table, command string, args []string) error {
	words, value := occValue(args)
	switch {
	case command == "config:import" && len(words) == 1:
		return occImport(config, apps, words[0])
	case command == "config:app:set" && len(words) == 2:
		return apps.setApp(words[0], words[1], value)
	case command == "config:app:get" && len(words) == 2:
		value, err := apps.app(words[0], words[1])
		fmt.Println(value)
		return err
	case command == "config:system:set" && len(words) == 1:
		config[words[0]] = value
		return config.write()
	case command == "config:system:get" && len(words) == 1:
		fmt.Println(config.get(words[0]))
		return nil
	}
	return fmt.Errorf("it is not played what occ does with %s %q", command, args)
}

// occValue takes the value out of the arguments, and leaves other options out.
func occValue(args []string) (words []string, value string) {
	for i := 0; i < len(args); i++ {
		after, ok := strings.CutPrefix(args[i], "--value=")
		switch {
		case ok:
			value = after
		case args[i] == "--value" && i+1 < len(args):
			i++
			value = args[i]
		case !strings.HasPrefix(args[i], "-"):
			words = append(words, args[i])
		}
	}
	return words, value
}

func occImport(config ncConfig, apps *table, path string) error {
	var file struct {
		System map[string]any
		Apps   map[string]map[string]any
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	maps.Copy(config, file.System)
	for app, settings := range file.Apps {
		for key, value := range settings {
			if err := apps.setApp(app, key, value); err != nil {
				return err
			}
		}
	}
	log.Print("config:import: ", path)
	return config.write()
}
