// Package typed has interfaces of placed objects, with what pb gen makes of them. Its tests call placed objects by
// typed stubs.
package typed
