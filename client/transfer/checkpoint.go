package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// readCheckpoint reads a file of saveCheckpoint. It returns false when there is no file.
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

// saveCheckpoint writes v to path. A crash leaves either the old checkpoint or the new one.
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
