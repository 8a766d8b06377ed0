//go:build unix

package servers

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

// superuser owns every cluster and may log in without a password.
const superuser = "terse"

// initArgs give a cluster that is the same on every machine. Small segments of
// WAL make it quick to copy.
var initArgs = []string{
	"--username=" + superuser, "--auth=trust", "--encoding=UTF8", "--locale=C",
	"--wal-segsize=4", "--no-sync", "--no-instructions",
}

// template returns an archive of an empty cluster, making it once per machine,
// version and account: initdb takes longer than all the rest of a start. It is one
// file put in place by a rename, so that processes may race for it and nobody
// sees half of it.
func (f *folder) template(ctx context.Context, pg installation) (string, error) {
	key := sha256.Sum256([]byte(pg.bin + "\n" + strings.Join(initArgs, "\n")))
	path := filepath.Join(os.TempDir(), fmt.Sprintf("terse-postgres-%s-%d-%x.tar", pg.version, f.owner.uid, key[:4]))
	switch info, err := os.Lstat(path); {
	case err == nil && info.Mode().IsRegular() && f.owner.owns(info):
		return path, nil
	case err == nil:
		return "", fmt.Errorf("%s is another user's", path)
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

// unpack makes the data folder of a new cluster. One archive serves a primary
// and its replicas: a cluster at rest is a valid base backup of itself.
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
