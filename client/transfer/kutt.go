package transfer

import (
	"bufio"

	"github.com/terse/terse/client"
)

// kuttLink is a link in the JSON of Kutt's API. The API shows only whether a link has
// a password.
type kuttLink struct {
	Address     string `json:"address"`
	Target      string `json:"target"`
	Description string `json:"description"`
	Password    bool   `json:"password"`
	Banned      bool   `json:"banned"`
	ExpireIn    string `json:"expire_in"`
	CreatedAt   string `json:"created_at"`
	UpdatedAt   string `json:"updated_at"`
	VisitCount  int64  `json:"visit_count"`
}

// openKutt reads responses of GET /api/v2/links, page after page, and CSV with the
// same column names.
func openKutt(r *bufio.Reader) (Reader, error) {
	if isJSON(r) {
		return openDocuments(r, readKutt, "data"), nil
	}
	t, err := openTable(r, "target")
	if err != nil {
		return nil, err
	}
	return tableReader{t, readKuttRow}, nil
}

func readKutt(in kuttLink) (record Record, err error) {
	record.PasswordLost, record.Disabled = in.Password, in.Banned
	l := &record.Link
	l.Code, l.URL, l.Title, l.Clicks = in.Address, in.Target, in.Description, client.Count(in.VisitCount)
	err = readTimes([]timeText{
		{"expire_in", in.ExpireIn, &l.ExpiresAt},
		{"created_at", in.CreatedAt, &l.CreatedAt},
		{"updated_at", in.UpdatedAt, &l.UpdatedAt},
	})
	if in.Banned {
		l.DisabledAt, l.DisabledReason = l.UpdatedAt, "banned"
	}
	return record, err
}

func readKuttRow(t *table) (Record, error) {
	in := kuttLink{
		Address: t.cell("address"), Target: t.cell("target"), Description: t.cell("description"),
		ExpireIn: t.cell("expire_in"), CreatedAt: t.cell("created_at"), UpdatedAt: t.cell("updated_at"),
	}
	if in.Address == "" {
		in.Address = codeOf(t.cell("link"))
	}
	var err error
	if in.Password, err = readBool("password", t.cell("password")); err != nil {
		return Record{}, err
	}
	if in.Banned, err = readBool("banned", t.cell("banned")); err != nil {
		return Record{}, err
	}
	if in.VisitCount, err = readNumber("visit_count", t.cell("visit_count")); err != nil {
		return Record{}, err
	}
	return readKutt(in)
}
