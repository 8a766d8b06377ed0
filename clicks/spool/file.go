package spool

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/terse/terse/store"
)

// ErrDamaged is returned for a file that was changed or cut after it was written, or that another
// program wrote.
var ErrDamaged = errors.New("damaged file")

const (
	// maxFile is the largest file that is read: 64 MiB.
	maxFile = 64 << 20

	// maxHeader is the longest header in bytes.
	maxHeader = 4096
)

// File is batches of one recorder. Its fields do not change. Its methods must not be called at the
// same time.
type File struct {
	Shard   string
	Cut     time.Time // when the batches were made
	Batches int       // number of batches; at least 1
	Clicks  int64     // number of clicks of all batches

	spool *Spool
	name  string
	room  int64 // bytes on the disk
}

func (f *File) path() string { return filepath.Join(f.spool.dir, f.name) }

// create writes the file.
func (f *File) create(content []byte) error {
	temporary := f.path() + newSuffix
	err := writeDurably(temporary, content)
	if err == nil {
		err = os.Rename(temporary, f.path())
	}
	if err != nil {
		return errors.Join(err, removeIfExists(temporary))
	}
	if err := syncFolder(f.spool.dir); err != nil {
		return errors.Join(err, removeIfExists(f.path()))
	}
	return nil
}

// Read returns the batches. Its error wraps ErrDamaged if the content is not what Write has
// written, or if the file is missing. After another error, a later Read may succeed.
func (f *File) Read() ([]store.ClickBatch, error) {
	file, err := f.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, unreadable(err)
	}
	return f.decode(content)
}

// readHeader sets the fields of f to the values in the first line of the file.
func (f *File) readHeader() error {
	file, err := f.open()
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return unreadable(err)
	}
	line, err := bufio.NewReader(io.LimitReader(file, maxHeader)).ReadBytes('\n')
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it has no header", ErrDamaged)
	case err != nil:
		return unreadable(err)
	}
	h, err := f.decodeHeader(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil {
		return err
	}
	f.Shard, f.Cut, f.Batches, f.Clicks, f.room = h.Shard, h.Cut, h.Batches, h.Clicks, onDisk(info.Size())
	return nil
}

// open opens the file for reading. It does not wait for the writer of a FIFO.
func (f *File) open() (*os.File, error) {
	info, err := os.Lstat(f.path())
	if err != nil {
		return nil, unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is not a regular file", ErrDamaged)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%w: it has %d bytes, more than %d", ErrDamaged, info.Size(), maxFile)
	}
	file, err := os.Open(f.path())
	if err != nil {
		return nil, unreadable(err)
	}
	return file, nil
}

// unreadable adds ErrDamaged to an error that a repetition does not cure.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EIO) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// Remove removes the file. If the file remains after an error, the next process sends its batches
// again.
func (f *File) Remove() error {
	f.spool.release(f)
	return removeIfExists(f.path())
}

// SetAside gives a damaged file another name, so that no process reads it again, and logs the reason.
func (f *File) SetAside(ctx context.Context, reason error) {
	f.spool.damaged.Inc()
	f.spool.release(f)
	aside := f.path() + damagedSuffix
	if err := os.Rename(f.path(), aside); err != nil {
		reason = errors.Join(reason, err)
	}
	f.spool.log.ErrorContext(ctx, "clicks of a file cannot be counted, it is set aside", "file", aside, "clicks", f.Clicks, "err", reason)
}

func writeDurably(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode) //nolint:gosec // in the operator's folder
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncFolder makes the names of a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // the operator's folder
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func removeIfExists(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
