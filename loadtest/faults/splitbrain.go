//go:build unix

package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// noticedWithin is the longest time until all nodes know that a shard has two primaries.
const noticedWithin = 10 * time.Second

// splitBrain promotes the standby of a shard while the primary hangs, and then lets the
// primary continue. No node may write to it from then on.
func (s *scene) splitBrain() error {
	if err := s.prepare(); err != nil {
		return err
	}
	s.begin()
	err := s.settle()
	if err == nil {
		err = s.promoteByMistake("s1-a", "s1-b")
	}
	s.end()
	return errors.Join(err, s.checkLog())
}

// promoteByMistake makes two primaries of the servers of the first shard, and ends the old one.
func (s *scene) promoteByMistake(primary, standby string) error {
	s.log("freezing %s, promoting %s", primary, standby)
	if err := s.t.Do(s.ctx, "freeze", primary); err != nil {
		return err
	}
	if _, err := s.count(standby, "SELECT pg_promote()::int"); err != nil {
		return err
	}
	back, err := s.awaitCreates()
	if err != nil {
		return err
	}
	s.r.check(back <= backWithin, "standby promoted: time until creates on every shard", "within 30 s", "%v", back.Round(time.Millisecond))
	s.log("thawing %s", primary)
	if err := s.t.Do(s.ctx, "thaw", primary); err != nil {
		return err
	}
	noticed, err := s.await(noticedWithin, "every node to know both primaries", s.bothPrimariesAreKnown)
	if err != nil {
		return err
	}
	s.r.add("time until every node knows both primaries", "%v", noticed.Round(time.Millisecond))
	const links = "SELECT count(*)::int FROM links"
	before, err := s.count(primary, links)
	if err != nil {
		return err
	}
	since := time.Now()
	if err := s.settle(); err != nil {
		return err
	}
	after, err := s.count(primary, links)
	if err != nil {
		return err
	}
	s.r.check(after == before, "links created on the replaced primary", "0", "%d", after-before)
	done, failed := s.a.Since(since, "create", 0)
	s.r.check(done > 0 && len(failed) == 0, "creates of the shard with two primaries", "no failures", "%d, %d failed", done+len(failed), len(failed))
	s.log("killing %s", primary)
	return s.t.Do(s.ctx, "kill", primary)
}

// bothPrimariesAreKnown reports whether every node sees two servers of s1 that accept writes.
func (s *scene) bothPrimariesAreKnown() (bool, error) {
	for _, node := range s.t.State().Nodes {
		n, err := s.metric(node, "terse_postgres_writable_servers", `shard="s1"`)
		if err != nil || n != 2 {
			return false, err
		}
	}
	return true, nil
}

// count runs a query on one server of the first shard, and returns its one number.
func (s *scene) count(server, sql string) (n int, err error) {
	for _, state := range s.state.Shards[0].Servers {
		if state.Name != server {
			continue
		}
		conn, err := pgx.Connect(s.ctx, state.DSN)
		if err != nil {
			return 0, err
		}
		defer func() { _ = conn.Close(context.WithoutCancel(s.ctx)) }()
		return n, conn.QueryRow(s.ctx, sql).Scan(&n)
	}
	return 0, errors.New("no server " + server)
}
