#!/bin/sh
# Runs workerd so that it never outlives the process that started it, however that one dies. Miniflare starts
# this instead of workerd (MINIFLARE_WORKERD_PATH), with a control pipe at descriptor 3 whose other end closes
# when the starter ends or disposes of it. The process id stays: `exec` puts workerd in the shell's place.
[ -n "$FRANKEN_RUNTIME_PID" ] && echo $$ > "$FRANKEN_RUNTIME_PID"
(
  while read -r _ <&3; do :; done
  kill -KILL $$
) < /dev/null > /dev/null 2>&1 &
exec "$FRANKEN_WORKERD" "$@"
