//go:build unix

package testenv

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// superuser owns every cluster and logs in without a password.
const superuser = "terse"

// initArgs make a cluster that is the same on every machine. Small WAL segments make
// it quick to copy.
var initArgs = []string{
	"--username=" + superuser, "--auth=trust", "--encoding=UTF8", "--locale=C",
	"--wal-segsize=4", "--no-sync", "--no-instructions",
}

// template returns an archive of an empty cluster. The archive is made once for each
// machine, version and account, because initdb takes longer than the rest of a start.
// It is put in place by a rename, so that processes may race and none reads an
// incomplete file.
func (f *folder) template(ctx context.Context, pg installation) (string, error) {
	key := sha256.Sum256([]byte(pg.bin + "\n" + strings.Join(initArgs, "\n")))
	path := filepath.Join(os.TempDir(), fmt.Sprintf("terse-postgres-%s-%d-%x.tar", pg.version, f.owner.uid, key[:4]))
	switch info, err := os.Lstat(path); {
	case err == nil && info.Mode().IsRegular() && f.owner.owns(info):
		return path, nil
	case err == nil:
		return "", fmt.Errorf("%s belongs to another user", path)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	if err := f.makeTemplate(ctx, pg, path); err != nil {
		return "", fmt.Errorf("make an empty cluster: %w", err)
	}
	return path, nil
}

func (f *folder) makeTemplate(ctx context.Context, pg installation, path string) error {
	data, archive := f.join("template"), f.join("template.tar")
	args := append([]string{"--pgdata=" + data}, initArgs...)
	if err := f.run(ctx, pg.program("initdb"), args...); err != nil {
		return err
	}
	if err := f.run(ctx, "tar", "-cf", archive, "-C", data, "."); err != nil {
		return err
	}
	return errors.Join(os.Rename(archive, path), os.RemoveAll(data))
}

// unpack makes the data folder of a new server. The primary and its replicas use the
// same archive: a stopped cluster is a valid base backup of itself.
func (f *folder) unpack(ctx context.Context, template, name string) error {
	data := f.join(name)
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if err := f.owner.give(data); err != nil {
		return err
	}
	return f.run(ctx, "tar", "-xf", template, "-C", data)
}
