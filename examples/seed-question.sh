#!/usr/bin/env bash
# The question of October 2019, asked of a running service: what happens when BPF traces a function that has a kprobe already?
# And who may then change the instruction pointer? Usage: examples/seed-question.sh [http://127.0.0.1:7700]
set -euo pipefail
base="${1:-http://127.0.0.1:7700}"
function_name=tcp_set_state

attach() { # client, JSON
  curl -sS -H 'content-type: application/json' -H "x-ktextd-client: $1" -d "$2" "$base/v1/attachments"
}
field() { # reads JSON on stdin, prints the value of a JavaScript expression over it
  node -e 'const body = JSON.parse(require("fs").readFileSync(0, "utf8")); console.log(eval("body." + process.argv[1]))' "$1"
}

echo "1. A kprobe with a post_handler claims $function_name. It may change the instruction pointer, so it holds IPMODIFY."
kprobe=$(attach probe-agent "{\"kind\":\"kprobe\",\"target\":\"$function_name\",\"options\":{\"postHandler\":true}}")
echo "   $(field verdict <<<"$kprobe"), the site calls $(field 'sites[0].mechanism' <<<"$kprobe")"

echo "2. A BPF program is attached to the same function with fentry."
fentry=$(attach bpf-agent "{\"kind\":\"fentry\",\"target\":\"$function_name\"}")
echo "   $(field verdict <<<"$fentry"): the site now calls $(field 'sites[0].mechanism' <<<"$fentry"), and $(field 'sites[0].chain.length' <<<"$fentry") owners run there, the kprobe first"

echo "3. A third agent wants IPMODIFY too."
refused=$(attach patch-agent "{\"kind\":\"ftrace\",\"target\":\"$function_name\",\"options\":{\"ipmodify\":true}}")
echo "   $(field errno <<<"$refused") by $(field rule <<<"$refused"): $(field detail <<<"$refused")"
echo "   held by: $(field 'holders.map((h) => `${h.kind} of ${h.client}`).join()' <<<"$refused")"

for answer in "$fentry" "$kprobe"; do
  curl -sS -X DELETE "$base/v1/attachments/$(field id <<<"$answer")" >/dev/null
done
echo "4. All have left: $(curl -sS "$base/v1/audit" | field 'orphans.length') orphans, site $(curl -sS "$base/v1/sites/$function_name" | field current)."
