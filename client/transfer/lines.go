package transfer

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/terse/terse/internal/outfile"
)

// uses reports whether path is the file to import, the checkpoint, or the opened file for rejected
// rows.
func (m *Importer) uses(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	others := []string{m.opts.File, m.opts.Checkpoint}
	if m.rejections != nil {
		others = append(others, m.opts.Rejections)
	}
	for _, other := range others {
		if known, err := os.Stat(other); err == nil && os.SameFile(info, known) {
			return true
		}
	}
	return false
}

// openRejections opens the file for rejected rows.
func (m *Importer) openRejections() (err error) {
	m.rejections, err = m.openLines(m.opts.Rejections, "rejected rows", m.state.Rejections)
	return err
}

// openReport opens the file of ImportOptions.Report.
func (m *Importer) openReport() (err error) {
	m.report, err = m.openLines(m.opts.Report, "the report", m.state.Report)
	if err != nil || m.report == nil || m.state.Report > 0 || !m.reportsCSV() {
		return err
	}
	n, err := m.report.WriteString("line,url,short_url,warning\n")
	m.state.Report = int64(n)
	return err
}

func (m *Importer) reportsCSV() bool {
	return strings.HasSuffix(strings.ToLower(m.opts.Report), ".csv")
}

// openLines opens a file for lines, and removes the lines after the first size bytes, which the
// checkpoint does not cover. It returns nil for an empty path.
func (m *Importer) openLines(path, purpose string, size int64) (*os.File, error) {
	if path == "" {
		return nil, nil
	}
	target, err := outfile.Find(path)
	switch {
	case err != nil:
		return nil, err
	case target.Direct:
		return outfile.OpenDirect(target.Path)
	case m.uses(target.Path):
		return nil, fmt.Errorf("%s is another file of this import. Name another file for %s", path, purpose)
	case size == 0:
		return outfile.Create(target.Path)
	}
	f, err := outfile.Continue(target.Path)
	if err != nil {
		return nil, err
	}
	_, seekErr := f.Seek(size, io.SeekStart)
	if err := errors.Join(f.Truncate(size), seekErr); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// reject writes a rejected row to the file for rejected rows, and calls
// ImportOptions.Rejected.
func (m *Importer) reject(r Rejection) error {
	if m.rejections != nil {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		n, err := m.rejections.Write(append(line, '\n'))
		m.state.Rejections += int64(n)
		if err != nil {
			return err
		}
	}
	if m.opts.Rejected != nil {
		return m.opts.Rejected(r)
	}
	return nil
}

// writeReport writes imported rows to the report.
func (m *Importer) writeReport(lines []ReportLine) error {
	if m.report == nil || len(lines) == 0 {
		return nil
	}
	var b bytes.Buffer
	var errs []error
	if m.reportsCSV() {
		w := csv.NewWriter(&b)
		for _, l := range lines {
			errs = append(errs, w.Write([]string{strconv.Itoa(l.Line), l.URL, l.ShortURL, l.Warning}))
		}
		w.Flush()
		errs = append(errs, w.Error())
	} else {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		for _, l := range lines {
			errs = append(errs, enc.Encode(l))
		}
	}
	n, err := m.report.Write(b.Bytes())
	m.state.Report += int64(n)
	return errors.Join(append(errs, err)...)
}
