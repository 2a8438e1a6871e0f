//go:build !linux

package service

const hasAbstract = false
