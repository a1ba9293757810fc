"""The settings of everything that is measured, and where the project is."""

import os

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def cores():
    return len(os.sched_getaffinity(0))


NGINX = """
daemon off; worker_processes {cores}; pid {work}/nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 4m; client_body_temp_path {work}/nginx-body;
  proxy_temp_path {work}/nginx-proxy; keepalive_requests 1000000000;
  upstream provider {{ server 127.0.0.1:{provider}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
  }}
}}
"""

HAPROXY = """
global
  nbthread {cores}
  maxconn 4096
defaults
  mode http
  option http-no-delay
  timeout connect 10s
  timeout client 60s
  timeout server 600s
frontend data
  bind 127.0.0.1:{port}
  default_backend provider
backend provider
  http-reuse always
  server provider 127.0.0.1:{provider}
"""

TOLLGATE = """
[listen]
data = "127.0.0.1:0"
admin = "127.0.0.1:0"
[state]
dir = "state"
[provider.anthropic]
dialect = "anthropic"
addresses = ["http://127.0.0.1:{provider}"]
credential = "env:LOADTEST_KEY"
[prices]
file = "{root}/conf/prices.toml"
[scan]
rules = ["{rules}"]
[scan.actions]
private_key = "block"
"""

DIRECTORY = """
organisation = "acme"
[[team]]
name = "load"
[[team.budget]]
window = "month"
limit = "1000000.00"
on_store_loss = "deny"
[[team]]
name = "redacted"
[team.actions]
aws_access_key = "redact"
[[team.budget]]
window = "month"
limit = "1000000.00"
"""

# One rule that nothing matches: what is left is the walk through the body.
NO_RULES = """
[[rule]]
id = "nothing"
category = "nothing"
description = "Matches nothing that is sent here"
pattern = "tollgate_load_test_[0-9]{40}"
keywords = ["tollgate_load_test_"]
examples = ["«tollgate_load_test_{digits:40}»"]
"""
