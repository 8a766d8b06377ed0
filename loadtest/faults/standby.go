//go:build unix

package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/terse/terse/internal/testenv/audit"
	"github.com/terse/terse/store"
)

const (
	// cutShard is the index of the shard that loses its standby: s1.
	cutShard = 0

	// agreeWithin is how long nodes may show an edit that a failover discarded: about a
	// minute, and more on a busy machine.
	agreeWithin = 100 * time.Second

	// lostEdits is the number of links that are edited only while the standby is cut off.
	lostEdits = 10

	// repeatedKeys is the number of creates that are sent twice with the same
	// Idempotency-Key while the standby is cut off.
	repeatedKeys = 20
)

// standby cuts off the standby of a shard, so that commits wait. It repeats writes without
// an acknowledgement, kills the primary, and promotes the standby.
func (s *scene) standby() error {
	if err := s.prepare(); err != nil {
		return err
	}
	edited := make([]string, lostEdits)
	for i := range edited {
		if edited[i] = s.a.Create(s.ctx, s.front, s.aliasOn(cutShard), s.a.Authorization()...); edited[i] == "" {
			return fmt.Errorf("a create failed: %q", s.a.Failures(5))
		}
	}
	s.a.Keep(audit.KeptFor)
	s.begin()
	err := s.settle()
	if err == nil {
		err = s.failOver(edited)
	}
	s.end()
	return errors.Join(err, s.checkLog())
}

func (s *scene) failOver(edited []string) error {
	s.log("cutting off s1-b")
	if err := s.t.Do(s.ctx, "cut", "s1-b"); err != nil {
		return err
	}
	cut := time.Now()
	codes := s.repeat(edited)
	if err := s.settle(); err != nil {
		return err
	}
	for _, op := range []string{"create", "edit"} {
		done, failed := s.a.Since(cut, op, cutShard)
		s.r.check(done == 0, "standby cut off: acknowledged "+kinds[op]+" of its shard", "0", "%d, and %d rejected", done, len(failed))
		done, failed = s.a.Since(cut, op, 1-cutShard)
		s.r.add("standby cut off: "+kinds[op]+" of the other shard", "%d, %d failed", done+len(failed), len(failed))
	}
	s.r.add("standby cut off: acknowledged repeated creates", "%d of %d, on the other shard", len(codes), repeatedKeys)
	s.log("killing s1-a, promoting s1-b")
	if err := s.t.Do(s.ctx, "kill", "s1-a"); err != nil {
		return err
	}
	if err := s.t.Do(s.ctx, "promote", "s1-b"); err != nil {
		return err
	}
	promoted := time.Now()
	back, err := s.awaitCreates()
	if err != nil {
		return err
	}
	s.r.check(back <= backWithin, "standby promoted: time until creates on every shard", "within 30 s", "%v", back.Round(time.Millisecond))
	lost := 0
	for key, code := range codes {
		if again := s.a.CreateOnce(s.ctx, s.front, key); again != "" && again != code {
			lost++
		}
	}
	s.r.check(lost == 0, "acknowledged creates that a retry created again", "0", "%d of %d", lost, len(codes))
	if err := s.awaitAgreement(edited, promoted); err != nil {
		return err
	}
	return s.t.Do(s.ctx, "rejoin", "s1-a")
}

// repeat sends edits and creates with an Idempotency-Key, each twice. It returns the codes of
// the acknowledged creates by key.
func (s *scene) repeat(edited []string) map[string]string {
	var mu sync.Mutex
	var calls sync.WaitGroup
	codes := map[string]string{}
	for _, code := range edited {
		calls.Go(func() {
			for range 2 {
				s.a.Edit(s.ctx, s.front, code)
			}
		})
	}
	for range repeatedKeys {
		calls.Go(func() {
			key := store.NewKeyID()
			for range 2 {
				if code := s.a.CreateOnce(s.ctx, s.front, key); code != "" {
					mu.Lock()
					codes[key] = code
					mu.Unlock()
				}
			}
		})
	}
	calls.Wait()
	return codes
}

// awaitAgreement waits until every node redirects to the targets in the databases.
func (s *scene) awaitAgreement(links []string, since time.Time) error {
	rows, err := s.a.Rows(s.ctx)
	if err != nil {
		return err
	}
	behind := 0
	for _, code := range links {
		if rows[code].Version == 1 {
			behind++
		}
	}
	s.r.add("edits without acknowledgement that the failover discarded", "%d of %d", behind, len(links))
	_, err = s.await(agreeWithin, "all nodes to agree with the databases", func() (bool, error) {
		agree := true
		for _, node := range s.nodes() { // all nodes: a node without requests refreshes nothing
			for _, code := range links {
				got, err := s.a.Send(s.ctx, "GET", node.URL()+"/"+code, nil)
				if err != nil {
					return false, err
				}
				agree = agree && got.Location == rows[code].Target
			}
		}
		return agree, nil
	})
	took := time.Since(since)
	s.r.check(err == nil, "time until all nodes agree with the databases", "about a minute", "%v", took.Round(time.Second))
	return nil
}
