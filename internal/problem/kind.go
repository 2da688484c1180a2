// Package problem is the one vocabulary of failure and its only rendering.
//
// A Kind is what the application reads in an answer the sidecar made (RFC 9457, contract section 5); an ErrorType is
// what metrics, letters and logs say of an exchange (contract section 7). Stages return a *Problem as their error;
// it travels untouched to the edge and is rendered there, once.
package problem

// Kind names a problem; its URI is urn:integration-sidecar:problem:<kind>.
type Kind string

// The kinds the sidecar answers with.
const (
	NoAdapter              Kind = "no-adapter"
	InvalidRequest         Kind = "invalid-request"
	MethodNotAllowed       Kind = "method-not-allowed"
	ContentTypeNotAllowed  Kind = "content-type-not-allowed"
	BodyTooLarge           Kind = "body-too-large"
	SchemaViolation        Kind = "schema-violation"
	TransformFailed        Kind = "transform-failed"
	VersionMismatch        Kind = "adapter-version-mismatch"
	KeyRequired            Kind = "idempotency-key-required"
	KeyInFlight            Kind = "idempotency-in-flight"
	OutcomeUnknown         Kind = "outcome-unknown"
	KeyReused              Kind = "idempotency-key-reused"
	RateLimited            Kind = "rate-limited"
	CircuitOpen            Kind = "circuit-open"
	CredentialsUnavailable Kind = "credentials-unavailable"
	StoreUnavailable       Kind = "idempotency-store-unavailable"
	SpoolUnavailable       Kind = "spool-unavailable"
	ExchangeNotFound       Kind = "exchange-not-found"
	Draining               Kind = "draining"
	LoopDetected           Kind = "loop-detected"
	UpstreamUnreachable    Kind = "upstream-unreachable"
	BadUpstreamResponse    Kind = "bad-upstream-response"
	UpstreamTimeout        Kind = "upstream-timeout"
	TotalTimeout           Kind = "total-timeout"
	Internal               Kind = "internal"
)

// ErrorType classifies a failed exchange for metrics, letters and logs.
type ErrorType string

// The error types, the same words everywhere.
const (
	TypeNone           ErrorType = ""
	TypeValidation     ErrorType = "validation"
	TypeClientError    ErrorType = "client_error"
	TypeRateLimited    ErrorType = "rate_limited"
	TypeServerError    ErrorType = "server_error"
	TypeNetwork        ErrorType = "network"
	TypeTimeout        ErrorType = "timeout"
	TypeCircuitOpen    ErrorType = "circuit_open"
	TypeOutcomeUnknown ErrorType = "outcome_unknown"
	TypePartialFailure ErrorType = "partial_failure"
	TypeCredentials    ErrorType = "credentials"
	TypeIdempotency    ErrorType = "idempotency"
	TypeCanceled       ErrorType = "canceled"
	TypeInternal       ErrorType = "internal"
)

// ErrorTypes lists every error type, so that metrics can resolve their handles at load.
func ErrorTypes() []ErrorType {
	return []ErrorType{TypeValidation, TypeClientError, TypeRateLimited, TypeServerError, TypeNetwork, TypeTimeout,
		TypeCircuitOpen, TypeOutcomeUnknown, TypePartialFailure, TypeCredentials, TypeIdempotency, TypeCanceled, TypeInternal}
}

// Entry is what the table says of a kind.
type Entry struct {
	Kind       Kind
	Status     int
	Title      string
	Retryable  bool      // whether trying again later can help, unless the problem says otherwise
	Type       ErrorType // unless the problem says otherwise
	ProxyError string    // error type of RFC 9209 section 2.3
}

var table = []Entry{
	{NoAdapter, 404, "No adapter matches this call", false, TypeValidation, "destination_not_found"},
	{InvalidRequest, 400, "The request is not valid", false, TypeValidation, "http_request_error"},
	{MethodNotAllowed, 405, "The method is not allowed", false, TypeValidation, "http_request_denied"},
	{ContentTypeNotAllowed, 415, "The content type is not allowed", false, TypeValidation, "http_request_denied"},
	{BodyTooLarge, 413, "The request body is too large", false, TypeValidation, "http_request_denied"},
	{SchemaViolation, 422, "The request body does not match the schema", false, TypeValidation, "http_request_denied"},
	{TransformFailed, 422, "The body could not be transformed", false, TypeValidation, "http_request_denied"}, // 502 when it is the response's
	{VersionMismatch, 412, "The adapter has another version", false, TypeValidation, "http_request_denied"},
	{KeyRequired, 400, "An idempotency key is required", false, TypeIdempotency, "http_request_denied"},
	{KeyInFlight, 409, "A call with this idempotency key is still in flight", true, TypeIdempotency, "http_request_denied"},
	{OutcomeUnknown, 409, "The outcome of an earlier call with this key is unknown", false, TypeOutcomeUnknown, "http_request_denied"},
	{KeyReused, 422, "The idempotency key was used for another request", false, TypeIdempotency, "http_request_denied"},
	{RateLimited, 429, "The rate limit of this adapter is reached", true, TypeRateLimited, "http_request_denied"},
	{CircuitOpen, 503, "The circuit breaker of this adapter is open", true, TypeCircuitOpen, "destination_unavailable"},
	{CredentialsUnavailable, 503, "The credentials of this adapter are unavailable", true, TypeCredentials, "proxy_configuration_error"},
	{StoreUnavailable, 503, "The idempotency store is unavailable", true, TypeIdempotency, "proxy_internal_error"},
	{SpoolUnavailable, 503, "The call could not be put on disk", true, TypeInternal, "proxy_internal_error"},
	{ExchangeNotFound, 404, "No accepted exchange is kept under this address", false, TypeValidation, "http_request_error"},
	{Draining, 503, "The sidecar is shutting down", true, TypeInternal, "http_request_denied"},
	{LoopDetected, 508, "The call came back to the sidecar", false, TypeInternal, "proxy_loop_detected"},
	{UpstreamUnreachable, 502, "The external system could not be reached", true, TypeNetwork, "destination_unavailable"},
	{BadUpstreamResponse, 502, "The external system's response was incomplete or malformed", true, TypeNetwork, "http_protocol_error"},
	{UpstreamTimeout, 504, "The external system did not answer in time", true, TypeTimeout, "http_response_timeout"},
	{TotalTimeout, 504, "The call's total time is used up", true, TypeTimeout, "http_response_timeout"},
	{Internal, 500, "The sidecar failed", false, TypeInternal, "proxy_internal_error"},
}

// Kinds returns the table of every kind, in the contract's order.
func Kinds() []Entry { return append([]Entry(nil), table...) }

func entryOf(k Kind) Entry {
	for _, e := range table {
		if e.Kind == k {
			return e
		}
	}
	return table[len(table)-1]
}
