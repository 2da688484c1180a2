package simulator

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
)

// salesRoutes is order intake. An order sent twice under two keys is two orders, as in life.
func salesRoutes() []route {
	return []route{
		{http.MethodPost, "/api/v2/orders/intake", func(c *call) answer {
			order, bad, ok := c.decode("orderId", "customer", "items")
			if !ok {
				return bad
			}
			id := fmt.Sprint(order["orderId"])
			order["reference"], order["status"] = c.system.newID("PX"), "accepted"
			return c.created(http.StatusCreated, id, "/api/v2/orders/"+id, order,
				map[string]any{"orderId": id, "reference": order["reference"], "status": "accepted"})
		}},
		{http.MethodGet, "/api/v2/orders/{id}", lookUp},
	}
}

// erpRoutes is work orders; PUT creates or replaces.
func erpRoutes() []route {
	put := func(c *call) answer {
		order, bad, ok := c.decode("description")
		if !ok {
			return bad
		}
		status := http.StatusOK
		if _, exists := c.system.load(c.request.URL.Path); !exists {
			status = http.StatusCreated
		}
		order["workOrderId"] = c.id
		return c.created(status, c.id, c.request.URL.Path, order, order)
	}
	return []route{
		{http.MethodPost, "/odata/workorders", func(c *call) answer {
			order, bad, ok := c.decode("workOrderId", "description")
			if !ok {
				return bad
			}
			id := fmt.Sprint(order["workOrderId"])
			return c.created(http.StatusCreated, id, "/odata/workorders/"+id, order, order)
		}},
		{http.MethodPut, "/odata/workorders/{id}", put},
		{http.MethodGet, "/odata/workorders/{id}", lookUp},
	}
}

// signatureRoutes is envelopes of documents to sign.
func signatureRoutes() []route {
	return []route{
		{http.MethodPost, "/v1/envelopes", func(c *call) answer {
			envelope, bad, ok := c.decode("documentId", "signers")
			if !ok {
				return bad
			}
			id := c.system.newID("env")
			envelope["envelopeId"], envelope["status"] = id, "sent"
			return c.created(http.StatusCreated, fmt.Sprint(envelope["documentId"]), "/v1/envelopes/"+id, envelope,
				map[string]any{"envelopeId": id, "status": "sent"})
		}},
		{http.MethodGet, "/v1/envelopes/{id}", lookUp},
	}
}

// smsRoutes is text messages: each one accepted is sent, whatever its key.
func smsRoutes() []route {
	return []route{
		{http.MethodPost, "/v1/messages", message("sms", "clientRef", "/v1/messages/", "to", "text")},
		{http.MethodGet, "/v1/messages/{id}", lookUp},
	}
}

// emailRoutes is e-mail.
func emailRoutes() []route {
	return []route{
		{http.MethodPost, "/v3/mail/send", message("mail", "customId", "/v3/mail/", "to", "subject")},
		{http.MethodGet, "/v3/mail/{id}", lookUp},
	}
}

// message accepts a text or mail for sending. Its business id is the caller's reference if there is one.
func message(prefix, reference, path string, required ...string) handler {
	return func(c *call) answer {
		m, bad, ok := c.decode(required...)
		if !ok {
			return bad
		}
		id := c.system.newID(prefix)
		business := id
		if ref, ok := m[reference].(string); ok && ref != "" {
			business = ref
		}
		m["messageId"], m["status"] = id, "queued"
		return c.created(http.StatusAccepted, business, path+id, m, map[string]any{"messageId": id, "status": "queued"})
	}
}

func lookUp(c *call) answer {
	resource, ok := c.system.load(c.request.URL.Path)
	if !ok {
		return notFound()
	}
	return answer{status: http.StatusOK, body: resource}
}

// created performs the side effect: it stores the resource and counts it under its business id.
func (c *call) created(status int, id, path string, resource, shown any) answer {
	c.system.store(path, resource)
	c.system.journal.effect(c.record, id)
	return answer{status: status, header: http.Header{"Location": {path}}, body: shown}
}

// decode reads a JSON object and demands fields that are neither absent nor empty; else it returns the refusal.
func (c *call) decode(required ...string) (map[string]any, answer, bool) {
	if kind, _, _ := mime.ParseMediaType(c.request.Header.Get("Content-Type")); kind != "application/json" {
		return nil, statusError(http.StatusUnsupportedMediaType, "unsupported_media_type", "send application/json"), false
	}
	var object map[string]any
	if err := json.Unmarshal(c.body, &object); err != nil {
		return nil, statusError(http.StatusBadRequest, "malformed", err.Error()), false
	}
	for _, name := range required {
		if empty(object[name]) {
			return nil, statusError(http.StatusBadRequest, "missing_field", name+" is required"), false
		}
	}
	return object, answer{}, true
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	}
	return false
}

// Sample is a valid write of the system called name, with business id id, for demos and load tests.
func Sample(name, id string) (method, path, body string) {
	switch name {
	case Sales:
		return http.MethodPost, "/api/v2/orders/intake", fmt.Sprintf(
			`{"orderId":%q,"customer":{"name":"Example Customer"},"items":[{"sku":"PUMP-10","quantity":2}]}`, id)
	case ERP:
		return http.MethodPost, "/odata/workorders", fmt.Sprintf(
			`{"workOrderId":%q,"description":"Replace the pump","plant":"P-01"}`, id)
	case ESignature:
		return http.MethodPost, "/v1/envelopes", fmt.Sprintf(
			`{"documentId":%q,"signers":[{"email":"customer@example.com"}]}`, id)
	case SMS:
		return http.MethodPost, "/v1/messages", fmt.Sprintf(
			`{"clientRef":%q,"to":"+15550100","text":"The technician is on the way"}`, id)
	}
	return http.MethodPost, "/v3/mail/send", fmt.Sprintf(
		`{"customId":%q,"to":"customer@example.com","subject":"Your appointment","text":"See you tomorrow"}`, id)
}
