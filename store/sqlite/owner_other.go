//go:build !unix

package sqlite

// inheritOwner does nothing: there is no root.
func inheritOwner(string, string) error { return nil }
