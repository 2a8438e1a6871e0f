#!/usr/bin/env bash
# Makes testdata/htpasswd with the tools that write such entries: Apache's htpasswd, OpenSSL, slappasswd and the
# argon2 of Debian. Every user's password is "sesame " and the user's name, but for the three named so.
set -euo pipefail
file=${1:?where to}
rm -f "$file"
touch "$file"
htpasswd -b -B -C 5 "$file" bcrypt "sesame bcrypt"
htpasswd -b -m "$file" apr1 "sesame apr1"
htpasswd -b -s "$file" sha1 "sesame sha1"
htpasswd -b -d "$file" des "sesame d"
htpasswd -b -p "$file" plain "sesame plain"
for length in 0 1 15 16 17 32 100; do
  password=$(head -c "$length" /dev/zero | tr '\0' x)
  echo "apr1of$length:$(openssl passwd -apr1 -salt "ab./Z9$length" "$password")" >>"$file"
done
echo "# made by htpasswd.sh" >>"$file"
echo >>"$file"
echo "ssha1:$(slappasswd -h '{SSHA}' -s 'sesame ssha1')" >>"$file"
echo "argon2id:$(echo -n 'sesame argon2id' | argon2 saltysalt -id -t 2 -k 64 -p 1 -e)" >>"$file"
echo "argon2idp:$(echo -n 'sesame argon2idp' | argon2 saltier.saltier. -id -t 1 -k 256 -p 4 -l 24 -e)" >>"$file"
echo "argon2i:$(echo -n 'sesame argon2i' | argon2 saltysalt -i -t 2 -k 64 -p 1 -e)" >>"$file"
echo "sha512:$(openssl passwd -6 -salt abcdefgh 'sesame sha512')" >>"$file"
echo "long:$(htpasswd -n -b -B -C 4 long "$(head -c 72 /dev/zero | tr '\0' y)" | head -1 | cut -d: -f2):a third column" >>"$file"
