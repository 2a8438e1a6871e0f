module github.com/perspectivebroker/pb/cred/ldapstore

go 1.26.0

require (
	github.com/go-ldap/ldap/v3 v3.4.15
	github.com/perspectivebroker/pb v0.1.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
)

require (
	github.com/Azure/go-ntlmssp v0.1.1 // indirect
	github.com/go-asn1-ber/asn1-ber v1.5.8 // indirect
	github.com/google/uuid v1.6.0 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/perspectivebroker/pb => ../..
