package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// readCheckpoint reads what saveCheckpoint has written, and reports whether there
// was anything.
func readCheckpoint(path string, to any) (bool, error) {
	content, err := os.ReadFile(path) //nolint:gosec // the user names the file
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

// saveCheckpoint keeps v at path, so that there is always the one before or this.
func saveCheckpoint(path string, v any) error {
	content, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(path+".new", content, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("save the checkpoint: %w", err)
	}
	return nil
}
