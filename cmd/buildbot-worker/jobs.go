//go:build unix

package main

// newJob makes a job of a command's arguments. It reports invalid arguments before the command begins.
type newJob func(at place, args arguments) (job, error)

// jobs returns the commands by the stock worker's names.
func jobs() map[string]newJob {
	return map[string]newJob{
		"shell":            newShell,
		"uploadFile":       newUploadFile,
		"upload_file":      newUploadFile,
		"uploadDirectory":  newUploadDirectory,
		"upload_directory": newUploadDirectory,
		"downloadFile":     newDownloadFile,
		"download_file":    newDownloadFile,
		"mkdir":            fileCommand("mkdir", "dir", makeDirectory),
		"rmdir":            newRemoveDirectory,
		"cpdir":            newCopyDirectory,
		"stat":             fileCommand("stat", "file", statFile),
		"glob":             fileCommand("glob", "path", globPath),
		"listdir":          fileCommand("listdir", "dir", listDir),
		"rmfile":           fileCommand("rmfile", "path", removeFile),
	}
}
