//go:build unix

package outfile

import (
	"io/fs"
	"testing"
)

func TestMayFollow(t *testing.T) {
	t.Parallel()
	const user, other, another = 1000, 1001, 1002
	for _, tt := range []struct {
		name               string
		folder             fs.FileMode
		folderOwner, owner int
		want               bool
	}{
		{"shared, of another user", fs.ModeSticky | 0o777, another, other, false},
		{"shared, own", fs.ModeSticky | 0o777, another, user, true},
		{"shared, of the owner of the folder", fs.ModeSticky | 0o777, another, another, true},
		{"private, of another user", 0o700, user, other, true},
		{"sticky, but not for all users", fs.ModeSticky | 0o775, another, other, true},
	} {
		if got := mayFollow(tt.folder, tt.folderOwner, tt.owner, user); got != tt.want {
			t.Errorf("%s: mayFollow() = %t, want %t", tt.name, got, tt.want)
		}
	}
}
