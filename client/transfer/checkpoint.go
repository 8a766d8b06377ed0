package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/terse/terse/internal/outfile"
)

// findCheckpoint returns the path of a checkpoint without symbolic links. It returns an error
// for a device or a pipe, which cannot be read again.
func findCheckpoint(path string) (string, error) {
	target, err := outfile.Find(path)
	if err == nil && target.Direct {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	return target.Path, nil
}

// readCheckpoint reads a file that saveCheckpoint wrote. It returns false when there is no file.
func readCheckpoint(path string, to any) (bool, error) {
	content, err := outfile.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(content, to)
	}
	if err != nil {
		return false, fmt.Errorf("read the checkpoint %s: %w", path, err)
	}
	return true, nil
}

// saveCheckpoint writes v to path. A crash leaves either the old checkpoint or the new one.
func saveCheckpoint(path string, v any) error {
	content, err := json.Marshal(v)
	if err == nil {
		err = outfile.WriteFile(path, content)
	}
	if err != nil {
		return fmt.Errorf("save the checkpoint: %w", err)
	}
	return nil
}
