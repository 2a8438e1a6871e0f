// Package browsertest tests the page of package inspect in a real browser. It is a module of its own, because only its
// tests need the library that drives the browser.
//
// The tests need Debian's chromium, which .ci/stock.sh installs. Without it they are skipped with a message. With
// CI=true or PB_REQUIRE_STOCK=1 they fail instead. With PB_PICTURES=DIR they write pictures of the page to a directory.
package browsertest
