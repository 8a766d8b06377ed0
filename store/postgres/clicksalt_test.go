package postgres_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// holders returns the files below a folder that contain one of the texts.
func holders(t *testing.T, folder string, texts ...[]byte) (files []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // the server has removed it
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		for _, text := range texts {
			if bytes.Contains(content, text) {
				files = append(files, path)
			}
		}
		return err
	})
	must(t, err)
	return files
}

// TestSaltsAreNowhere searches the salt of a day, as bytes and as text, in the write-ahead log, the
// server's log, a base backup and a replica. The salt of a day that is over must leave the data
// folder, too. Bytes in a usual table show that the search finds what is there.
func TestSaltsAreNowhere(t *testing.T) {
	t.Parallel()
	c := newClusterWith(t, 1, map[string]string{
		"log_statement": "all", "log_min_duration_statement": "0", "log_parameter_max_length": "-1",
		"logging_collector": "on", "log_directory": "statements",
	})
	database := c.database(t)
	s := c.open(t, database, 0)
	conn := connect(t, c, database)
	usual := []byte("bytes in a usual table")
	exec(t, conn, "CREATE TABLE usual (b bytea)")
	exec(t, conn, "INSERT INTO usual VALUES ($1)", usual)
	today := store.DayOf(time.Now())
	salt, err := s.ClickSalt(t.Context(), today)
	must(t, err)
	forms := [][]byte{salt, []byte(hex.EncodeToString(salt))}

	exec(t, conn, "CHECKPOINT")
	exec(t, conn, "SELECT pg_switch_wal()")
	must(t, c.WaitReplicas(t.Context()))
	backup := filepath.Join(c.Primary().DataDir()+"-backup", "base")
	host, port, err := net.SplitHostPort(c.Primary().Addr())
	must(t, err)
	config, err := pgx.ParseConfig(c.Primary().DSN(database))
	must(t, err)
	must(t, c.Primary().Run(t.Context(), "pg_basebackup", "--pgdata="+backup, "--host="+host, "--port="+port,
		"--username="+config.User, "--checkpoint=fast", "--wal-method=stream", "--no-sync"))
	data := c.Primary().DataDir()
	for what, folder := range map[string]string{
		"the write-ahead log": filepath.Join(data, "pg_wal"), "a base backup": backup, "a replica": c.Replicas()[0].DataDir(),
	} {
		if len(holders(t, folder, usual)) == 0 {
			t.Errorf("%s lacks the bytes of a usual table, so the search finds nothing", what)
		}
		if files := holders(t, folder, forms...); len(files) > 0 {
			t.Errorf("%s has the salt in %v", what, files)
		}
	}
	logs := filepath.Join(data, "statements")
	if len(holders(t, logs, []byte(fmt.Sprintf("%x", usual)))) == 0 {
		t.Error("the log of statements lacks an argument, so the search finds nothing")
	}
	if files := holders(t, logs, forms...); len(files) > 0 {
		t.Errorf("the log of statements has the salt in %v", files)
	}
	if files := holders(t, filepath.Join(data, "base"), salt); len(files) > 0 {
		t.Errorf("a running server has the salt on disk in %v", files)
	}

	// A clean stop writes the salt to the data folder, so that a restart does not lose it.
	must(t, c.Primary().Stop())
	if len(holders(t, filepath.Join(data, "base"), salt)) == 0 {
		t.Error("the data folder of a stopped server lacks the salt, so the search finds nothing")
	}
	must(t, c.Primary().Start(t.Context()))
	conn = connect(t, c, database)
	exec(t, conn, "UPDATE click_salts SET day = day - 2") // it is over
	var kept []byte
	eventually(t, "a new salt", func() error {
		kept, err = s.ClickSalt(t.Context(), today)
		return err
	})
	_, err = s.SweepClicks(t.Context(), store.ClickRetention{})
	must(t, err)
	exec(t, conn, "CHECKPOINT")
	if files := holders(t, filepath.Join(data, "base"), salt); len(files) > 0 {
		t.Errorf("the data folder has the salt of a day that is over in %v", files)
	}
	if again, err := s.ClickSalt(t.Context(), today); err != nil || !bytes.Equal(again, kept) || bytes.Equal(again, salt) {
		t.Errorf("ClickSalt() after a sweep = %x, %v, want the salt before it: %x", again, err, kept)
	}
}

// TestSaltAfterCrash kills the server. The database has lost the salt then, and must make another.
func TestSaltAfterCrash(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	s := c.open(t, c.database(t), 0)
	today := store.DayOf(time.Now())
	before, err := s.ClickSalt(t.Context(), today)
	must(t, err)
	must(t, c.Primary().Kill())
	must(t, c.Primary().Start(t.Context()))
	eventually(t, "a salt", func() error {
		after, err := s.ClickSalt(t.Context(), today)
		if err == nil && bytes.Equal(before, after) {
			t.Errorf("ClickSalt() after a crash = %x, want another salt", after)
		}
		return err
	})
}
