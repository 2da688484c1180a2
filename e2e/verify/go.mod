module github.com/fsm-integrations/sidecar/e2e/verify

go 1.26.0

require (
	github.com/aws/aws-sdk-go-v2 v1.48.0
	github.com/standard-webhooks/standard-webhooks/libraries v0.0.1
)

require github.com/aws/smithy-go v1.28.9 // indirect
