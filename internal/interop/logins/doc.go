// Package logins tests logins and TLS with stock Twisted: the listings of twisted-doc that log in, its chat, and TLS.
package logins
