package policy

import "testing"

func TestFieldsThatLookLikeCredentialsStayOffTheDisk(t *testing.T) {
	s := testSettings()
	s.Idempotency.Header = "Request-Key"
	p := newPrivacy(s)
	for name, want := range map[string]bool{
		"Authorization": true, "Cookie": true, "Ocp-Apim-Subscription-Key": true, "X-Functions-Key": true, "x-partner-key": true, "Key": true,
		"X-JWT": true, "X-Session-Id": true, "X-Pwd": true, "X-Api-Key": true, "Signature-Input": true,
		"X-Idempotency-Key": false, "Idempotency-Key": false, "X-Order-Key": false, "Request-Key": false,
		"Content-Type": false, "X-Keyboard": false, "X-Shipping": false, "X-Correlation-ID": false,
	} {
		if got := p.private(name); got != want {
			t.Errorf("%s is private: %v", name, got)
		}
	}
}
