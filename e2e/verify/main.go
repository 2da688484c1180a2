// Command verify-signatures is a provider for tests: it believes only what the libraries that others keep believe. The
// official library of Standard Webhooks verifies what comes to /webhooks and signs the answer; Amazon's own signer signs
// what comes to /aws once more and compares. It is a module of its own, so that the product's go.mod carries neither.
//
//	verify-signatures ADDRESS
//
// The keys are in the environment: WEBHOOK_KEY, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: verify-signatures ADDRESS")
	}
	http.HandleFunc("/webhooks/", webhooks)
	http.HandleFunc("/aws/", amazon)
	server := &http.Server{Addr: os.Args[1], ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// webhooks answers what it believes with its body, signed; below /webhooks/tampered the body is changed on its way.
func webhooks(w http.ResponseWriter, r *http.Request) {
	key, err := standardwebhooks.NewWebhook(os.Getenv("WEBHOOK_KEY"))
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = key.Verify(body, r.Header)
	}
	if err == nil && key.Verify(append([]byte(" "), body...), r.Header) == nil {
		err = errors.New("another body is believed too")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	now, id := time.Now(), "msg_answer"
	signature, err := key.Sign(id, now, body)
	if err != nil {
		log.Fatal(err)
	}
	w.Header().Set("webhook-id", id)
	w.Header().Set("webhook-timestamp", fmt.Sprint(now.Unix()))
	w.Header().Set("webhook-signature", signature)
	if strings.HasPrefix(r.URL.Path, "/webhooks/tampered") {
		body = append(body, ' ')
	}
	_, _ = w.Write(body)
}

// amazon signs a request like Amazon's clients do and wants the same signature.
func amazon(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	sent := r.Header.Get("Authorization")
	again, err := signAgain(r, sent, body)
	if err != nil || again != sent {
		http.Error(w, fmt.Sprintf("sent %s\nwant %s: %v", sent, again, err), http.StatusForbidden)
		return
	}
	_, _ = w.Write(body)
}

func signAgain(r *http.Request, sent string, body []byte) (string, error) {
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return "", err
	}
	scope := strings.Split(sent, "/") // AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, …
	_, signed, found := strings.Cut(sent, "SignedHeaders=")
	if len(scope) < 5 || !found {
		return "", errors.New("malformed Authorization")
	}
	copied, err := http.NewRequest(r.Method, "http://"+r.Host+r.RequestURI, http.NoBody)
	if err != nil {
		return "", err
	}
	signed, _, _ = strings.Cut(signed, ",")
	for _, name := range strings.Split(signed, ";") {
		if values := r.Header.Values(name); len(values) > 0 && name != "x-amz-date" && name != "x-amz-security-token" {
			copied.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if hash != r.Header.Get("X-Amz-Content-Sha256") {
		return "", errors.New("X-Amz-Content-Sha256 is of another body")
	}
	credentials := aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken: r.Header.Get("X-Amz-Security-Token")}
	s3 := func(o *v4.SignerOptions) { o.DisableURIPathEscaping = scope[3] == "s3" }
	if err := v4.NewSigner().SignHTTP(r.Context(), credentials, copied, hash, scope[3], scope[2], at, s3); err != nil {
		return "", err
	}
	return copied.Header.Get("Authorization"), nil
}
