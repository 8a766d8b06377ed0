package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	terseclient "github.com/terse/terse/client"
	"github.com/terse/terse/internal/outfile"
)

type linksQR struct {
	clientFlags
	linkArg
	Output string `short:"o" placeholder:"FILE" help:"File to write, or - for stdout. Default: the code with .svg or .png added."`
	Format string `default:"" enum:",svg,png" placeholder:"FORMAT" help:"svg or png. Default: png for a file that ends in .png, else svg."`
	Size   int    `placeholder:"PIXELS" help:"Width and height. Default: the default of the server."`
	Scans  bool   `help:"Count scans of the code separately: the code has the short URL with ?qr=1. Default: false."`
}

// Run writes the QR code of a link.
func (c *linksQR) Run(ctx context.Context, out output) error {
	format := c.Format
	switch {
	case format != "":
	case strings.EqualFold(filepath.Ext(c.Output), ".png"):
		format = "png"
	default:
		format = "svg"
	}
	api, code, err := c.linkArg.open(&c.clientFlags, out)
	if err != nil {
		return err
	}
	defer api.Close()
	picture, err := api.QR(ctx, code, terseclient.QROptions{Format: format, Size: c.Size, Scans: c.Scans})
	if err != nil {
		return err
	}
	if outfile.IsStdout(c.Output) {
		_, err = out.stdout.Write(picture)
		return err
	}
	path := c.Output
	if path == "" {
		path = code + "." + format
	}
	if err := writePicture(path, picture); err != nil {
		return fmt.Errorf("write the QR code: %w", err)
	}
	fmt.Fprintf(out.stderr, "Wrote %s.\n", path)
	return nil
}

// writePicture replaces a file, or writes to a device or a pipe.
func writePicture(path string, picture []byte) error {
	to, err := outfile.Find(path)
	if err != nil {
		return err
	}
	if !to.Direct {
		return outfile.WriteFile(to.Path, picture)
	}
	f, err := outfile.OpenDirect(to.Path)
	if err != nil {
		return err
	}
	if _, err = f.Write(picture); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
