// Command provider is an identity provider for tests: the example server of zitadel/oidc, with people and their
// groups from a file that it reads for each request. It is a module of its own, so that the product does not
// depend on it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// person is a member of the file, by the subject.
type person struct {
	storage.User
	Groups []string
}

// people is the file.
type people string

// read returns the people in the file. It is empty while the file cannot be read.
func (p people) read() map[string]*person {
	all := map[string]*person{}
	text, err := os.ReadFile(string(p))
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		log.Print(err)
	}
	for id, one := range all {
		one.ID = id
	}
	return all
}

func (p people) GetUserByID(id string) *storage.User {
	if one := p.read()[id]; one != nil {
		return &one.User
	}
	return nil
}

func (p people) GetUserByUsername(name string) *storage.User {
	for _, one := range p.read() {
		if one.Username == name {
			return &one.User
		}
	}
	return nil
}

func (people) ExampleClientID() string { return storage.ServiceUserID }

// grouped is a storage that adds the groups to what it says about a person.
type grouped struct {
	*storage.Storage
	people people
}

// SetUserinfoFromToken is for requests of the UserInfo endpoint.
func (g grouped) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	if err := g.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin); err != nil {
		return err
	}
	if one := g.people.read()[subject]; one != nil && one.Groups != nil {
		info.AppendClaims("groups", one.Groups)
	}
	return nil
}

func main() {
	listen := flag.String("listen", "", "address, which is also the issuer")
	file := flag.String("people", "", "JSON file")
	redirect := flag.String("redirect", "", "where people are sent back")
	flag.Parse()
	storage.RegisterClients(storage.WebClient("web", "secret", *redirect))
	store := grouped{storage.NewStorage(people(*file)), people(*file)}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	server := &http.Server{
		Addr: *listen, ReadHeaderTimeout: time.Minute,
		Handler: exampleop.SetupServer("http://"+*listen, store, logger, false),
	}
	log.Fatal(server.ListenAndServe())
}
