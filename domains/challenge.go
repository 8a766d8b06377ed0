package domains

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"golang.org/x/net/publicsuffix"

	"github.com/terse/terse/store"
)

// ChallengePath is the beginning of the path that verification requests from a host. A token
// follows.
const ChallengePath = "/.well-known/terse/"

// secrets derive the texts that prove a host. The process that answers needs no state besides the
// Map.
type secrets struct{ token, answer, record []byte }

func newSecrets(secret []byte) secrets {
	return secrets{token: digest(secret, "domain token"), answer: digest(secret, "domain answer"), record: digest(secret, "domain record")}
}

// challenge returns the token that verification sends to a host of a domain, and the right answer.
func (s *secrets) challenge(domainID, host string) (token, answer string) {
	return text(s.token, domainID, host), text(s.answer, domainID, host)
}

// proof returns the value of the TXT record that proves that a host belongs to an owner.
func (s *secrets) proof(owner, host string) string { return text(s.record, owner, bare(host)) }

// text returns 128 bits of the digest of two parts.
func text(key []byte, first, second string) string {
	return hex.EncodeToString(digest(key, first+"\x00"+second)[:16])
}

func digest(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// Challenge returns the answer for a request of verification: host is the Host of the request,
// and token the part of its path after ChallengePath. ok is false for a wrong token and for an
// unknown host. It answers for domains in every state, so that a pending domain can be verified.
func (s *Service) Challenge(host, token string) (answer string, ok bool) {
	name, err := store.CanonicalHost(host)
	if err != nil {
		return "", false
	}
	for _, claimed := range []string{name, wildcardOf(name)} {
		d := s.opts.Map.claimant(claimed)
		if d == nil {
			continue
		}
		if want, answer := s.secrets.challenge(d.ID, claimed); hmac.Equal([]byte(want), []byte(token)) {
			return answer, true
		}
	}
	return "", false
}

// Record is a DNS record to set.
type Record struct {
	Host  string // of the domain
	Type  string // CNAME, ALIAS or TXT
	Name  string
	Value string
}

// Records returns the DNS records that the owner of a domain has to set. The name of a
// zone cannot have a CNAME, so its type is ALIAS: the owner sets an ALIAS or ANAME record if the DNS
// provider has them, or else A and AAAA records with the addresses of the value.
func (s *Service) Records(who Caller, d *Domain) []Record {
	var records []Record
	for _, name := range d.names() {
		records = append(records, s.address(name))
		if !isAdmin(who) {
			records = append(records, s.txt(d.Owner, name))
		}
	}
	return records
}

// address returns the record that leads a host to this server.
func (s *Service) address(host string) Record {
	r := Record{Host: host, Type: "CNAME", Name: host, Value: s.baseHost}
	if zone, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil && zone == host {
		r.Type = "ALIAS"
	}
	return r
}

// txt returns the record that proves that a host belongs to an owner.
func (s *Service) txt(owner, host string) Record {
	return Record{Host: host, Type: "TXT", Name: "_terse." + bare(host), Value: s.secrets.proof(owner, host)}
}
