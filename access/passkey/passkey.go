// Package passkey makes and checks passkeys by Web Authentication (WebAuthn Level 3): discoverable credentials that verify
// the person by a finger, a face or a PIN. It knows neither sessions, cookies nor a store.
package passkey

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/terse/terse/access"
)

// Options configure New.
type Options struct {
	Origin string // Required. The origin of the console, such as https://console.sho.rt. See Possible.
	Name   string // Required. The name of the website, which browsers show.
}

// Possible reports whether browsers can have passkeys for an origin: an https URL with a host name of at least two labels,
// or localhost.
func Possible(origin *url.URL) bool {
	if _, err := netip.ParseAddr(origin.Hostname()); err == nil {
		return false
	}
	return (origin.Scheme == "https" || origin.Hostname() == "localhost") && protocol.ValidateRPID(origin.Hostname()) == nil
}

// Checker makes options for browsers, and checks their answers. Make one with New. Safe for concurrent use.
type Checker struct{ server *webauthn.WebAuthn }

// New returns a Checker. The error names a wrong option.
func New(opts Options) (*Checker, error) {
	origin, err := url.Parse(opts.Origin)
	switch {
	case err != nil:
		return nil, fmt.Errorf("passkey: Options.Origin: %w", err)
	case !Possible(origin):
		return nil, fmt.Errorf("passkey: Options.Origin: browsers have no passkeys for %q", opts.Origin)
	case opts.Name == "":
		return nil, errors.New("passkey: Options.Name is required")
	}
	resident := true
	server, err := webauthn.New(&webauthn.Config{
		RPID: origin.Hostname(), RPDisplayName: opts.Name, RPOrigins: []string{opts.Origin}, AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: &resident, UserVerification: protocol.VerificationRequired,
		},
		// Some password managers answer extensions that were not requested.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return &Checker{server}, nil
}

// person is the owner of passkeys.
type person struct {
	subject, name string
	own           []webauthn.Credential
}

// WebAuthnID implements webauthn.User.
func (p person) WebAuthnID() []byte { return []byte(p.subject) }

// WebAuthnName implements webauthn.User.
func (p person) WebAuthnName() string { return p.name }

// WebAuthnDisplayName implements webauthn.User.
func (p person) WebAuthnDisplayName() string { return p.name }

// WebAuthnCredentials implements webauthn.User.
func (p person) WebAuthnCredentials() []webauthn.Credential { return p.own }

// MakeOptions returns the options with which a browser makes a passkey of a person, as JSON. own are the credentials that
// the person has: an authenticator makes no second one.
func (c *Checker) MakeOptions(challenge []byte, subject, name string, own [][]byte) ([]byte, error) {
	options, _, err := c.make(challenge, person{subject: subject, name: name}, own)
	if err != nil {
		return nil, fmt.Errorf("options of a passkey: %w", err)
	}
	return json.Marshal(options.Response)
}

func (c *Checker) make(challenge []byte, who person, own [][]byte) (*protocol.CredentialCreation, *webauthn.SessionData, error) {
	return c.server.BeginRegistration(who, func(o *protocol.PublicKeyCredentialCreationOptions) error {
		o.Challenge = challenge
		for _, text := range own {
			credential, err := decode(text)
			if err != nil {
				return err
			}
			o.CredentialExcludeList = append(o.CredentialExcludeList, credential.Descriptor())
		}
		return nil
	})
}

// Made returns the passkey that a browser has made with MakeOptions. answer is the credential as JSON. The error is
// access.ErrPasskey for an answer that is not valid.
func (c *Checker) Made(challenge []byte, subject string, answer []byte) (access.NewPasskey, error) {
	who := person{subject: subject, name: subject}
	_, session, err := c.make(challenge, who, nil)
	if err != nil {
		return access.NewPasskey{}, fmt.Errorf("check a new passkey: %w", err)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return access.NewPasskey{}, refused(err)
	}
	credential, err := c.server.CreateCredential(who, *session, parsed)
	if err != nil {
		return access.NewPasskey{}, refused(err)
	}
	credential.Attestation = webauthn.CredentialAttestation{} // several kilobytes that no check reads
	text, err := json.Marshal(credential)
	return access.NewPasskey{ID: credential.ID, Credential: text}, err
}

// UseOptions returns the options with which a browser signs in with any passkey, as JSON.
func (c *Checker) UseOptions(challenge []byte) ([]byte, error) {
	options, _, err := c.server.BeginDiscoverableLogin(webauthn.WithChallenge(challenge))
	if err != nil {
		return nil, fmt.Errorf("options of a sign-in: %w", err)
	}
	return json.Marshal(options.Response)
}

// Answer is the answer of a browser to UseOptions. It proves nothing before Check.
type Answer struct {
	ID     []byte // of the credential
	parsed *protocol.ParsedCredentialAssertionData
}

// Parse parses the answer of a browser. The error is access.ErrPasskey.
func Parse(answer []byte) (Answer, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return Answer{}, refused(err)
	}
	return Answer{parsed.RawID, parsed}, nil
}

// Check returns nil if the answer is signed for the challenge with the stored credential of the person with a subject, by
// a page of the origin, after the authenticator has verified the person. Otherwise the error is access.ErrPasskey. The
// signature counter is not checked: passkeys that are synchronized between devices have none.
func (c *Checker) Check(answer Answer, challenge []byte, subject string, stored []byte) error {
	credential, err := decode(stored)
	if err != nil {
		return fmt.Errorf("stored passkey: %w", err)
	}
	_, session, err := c.server.BeginDiscoverableLogin(webauthn.WithChallenge(challenge))
	if err != nil {
		return fmt.Errorf("check a passkey: %w", err)
	}
	owner := func([]byte, []byte) (webauthn.User, error) {
		return person{subject: subject, name: subject, own: []webauthn.Credential{credential}}, nil
	}
	if _, _, err = c.server.ValidatePasskeyLogin(owner, *session, answer.parsed); err != nil {
		return refused(err)
	}
	return nil
}

func decode(stored []byte) (credential webauthn.Credential, err error) {
	err = json.Unmarshal(stored, &credential)
	return credential, err
}

// refused returns access.ErrPasskey with the reason for the log.
func refused(err error) error {
	if reason, is := errors.AsType[*protocol.Error](err); is {
		err = fmt.Errorf("%s: %s", reason.Details, reason.DevInfo)
	}
	return fmt.Errorf("%w: %w", access.ErrPasskey, err)
}
