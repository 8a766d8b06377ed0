package api

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// qrScreen shows the QR code of a link with the size, the margin and the colors of the query.
func (a *API) qrScreen(c echo.Context, s *session) error {
	l, err := a.linkOfPath(c, s)
	if err != nil {
		return err
	}
	link, err := a.linkPage(&l)
	if err != nil {
		return err
	}
	p := c.QueryParams()
	v := web.QRPage{LinkRow: link.LinkRow, Size: p.Get("size"), Margin: p.Get("margin"), Color: p.Get("color"), Background: p.Get("background"), Scans: p.Get("scans") == "true"}
	if v.Size == "" {
		v.Size = "512"
	}
	if v.Margin == "" {
		v.Margin = strconv.Itoa(quietZone)
	}
	if v.Color == "" {
		v.Color = string(plainInks.color)
	}
	if v.Background == "" {
		v.Background = string(plainInks.background)
	}
	query, err := qrQuery(&v)
	if err != nil {
		v.Errors = fieldErrors(err)
		a.pages.QRPage(c.Response(), http.StatusUnprocessableEntity, s.viewer(), v)
		return nil
	}
	for _, format := range []string{"svg", "png"} {
		query.Set("format", format)
		v.Files = append(v.Files, web.QRFile{Format: format, Path: link.QRPath + query.Encode(), Name: l.BareCode() + "." + format})
	}
	a.pages.QRPage(c.Response(), http.StatusOK, s.viewer(), v)
	return nil
}

// qrQuery returns the parameters of the picture. The error names every invalid field.
func qrQuery(v *web.QRPage) (url.Values, error) {
	colors, wrongInks := newInks(v.Color, v.Background)
	query := url.Values{"color": {string(colors.color)}, "background": {string(colors.background)}}
	number := func(field, text string, least, most int) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return &store.FieldError{Field: field, Reason: "must be a whole number from " + strconv.Itoa(least) + " to " + strconv.Itoa(most)}
		}
		query.Set(field, strconv.Itoa(n))
		return nil
	}
	if v.Scans {
		query.Set("scans", "true")
	}
	return query, store.JoinInvalid(number("size", v.Size, 64, 1024), number("margin", v.Margin, 0, 16), wrongInks)
}
