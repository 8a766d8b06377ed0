package browser

import "github.com/chromedp/cdproto/webauthn"

// AddAuthenticator gives the tab an authenticator for passkeys that verifies its user without a question. It is empty, and
// ends with the tab.
func (t *Tab) AddAuthenticator() {
	t.tb.Helper()
	call(t, webauthn.Enable, webauthn.EnableParams{})
	call(t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
}
