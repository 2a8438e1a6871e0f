// Package jelly turns Go values into Jelly, the object serialization of Perspective
// Broker, and back.
package jelly
