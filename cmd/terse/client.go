package main

import (
	"time"

	terseclient "github.com/terse/terse/client"
)

// clientFlags are the settings of every command that calls a server.
type clientFlags struct {
	Config string `placeholder:"FILE" help:"JSON file with settings." setting:""`
	Server string `default:"http://localhost:8080" placeholder:"URL" help:"The server to call. Default: http://localhost:8080." setting:""`
	APIKey string `name:"api-key" placeholder:"KEY" help:"API key. Without a key you can only shorten and expand. Default: none." setting:"" secret:""`

	Timeout  time.Duration `default:"30s" placeholder:"TIME" help:"How long one request may take. Default: 30s."`
	Patience time.Duration `default:"2m" placeholder:"TIME" help:"How long to retry while the server is unreachable or overloaded. Default: 2m."`
}

// open returns a client of the server.
func (f *clientFlags) open() (*terseclient.Client, error) {
	patience := f.Patience
	if patience == 0 {
		patience = -1 // no retries
	}
	c, err := terseclient.New(terseclient.Options{Server: f.Server, Key: f.APIKey, Timeout: f.Timeout, Patience: patience, Version: version})
	if err != nil {
		return nil, settingsError{err}
	}
	return c, nil
}
