package main

import (
	"strings"
	"testing"
)

func TestCheckSecret(t *testing.T) {
	t.Parallel()
	for _, weak := range []string{"secret", "Secret!", "CHANGE-ME", "change_me", "<token>", "your-token", "hunter2", "foobared", "xxxxxxxxxxxxxxxx", "sh0rt", "12345678", "abcabcabc", "k3yk3yk3yk", "abcdefghij", "87654321"} {
		if err := checkSecret(weak); err == nil || strings.Contains(err.Error(), weak) {
			t.Errorf("checkSecret(%q) = %v, want an error without the secret", weak, err)
		}
	}
	for _, good := range []string{"9f86d081884c7d659a2feaa0", "a secret that is long", "tr0ub4dor", "abcabcabd", ""} {
		if err := checkSecret(good); err != nil {
			t.Errorf("checkSecret(%q) = %v, want nil", good, err)
		}
	}
}
