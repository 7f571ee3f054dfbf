#!/usr/bin/perl

# Bodies that nginx itself breaks off: no failure of the release, nor have its
# clients left.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Path qw(remove_tree);
use IO::Compress::Gzip qw(gzip);
use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 1);
my $server = $t->backend('v1');
my $module = '/usr/lib/nginx/modules/ngx_http_xslt_filter_module.so';
my $xslt = -e $module;
my $gunzip = $t->has('http_gunzip');

$t->write_file('style.xslt', <<'EOS');
<xsl:stylesheet version="1.0"
                xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
</xsl:stylesheet>
EOS

my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%% max_fails=0; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v1%% max_fails=0; }

    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_http_version 1.1;

        location / { proxy_pass http://ep; }
        location /unbuffered { proxy_buffering off; proxy_pass http://ep; }
        location /disk {
            proxy_temp_path         %%DIR%%/temp 1;
            proxy_buffers           2 4k;
            proxy_buffer_size       4k;
            proxy_busy_buffers_size 4k;
            proxy_pass http://ep;
        }
        %%OPTIONAL%%
    }

    %%API%%
EOC

my $optional = '';

for my $kind (qw(buffered unbuffered)) {
    my $buffering = $kind eq 'buffered' ? 'on' : 'off';

    $optional .= <<"EOC" if $gunzip;
        location /gunzip/$kind {
            gunzip on;
            proxy_buffering $buffering;
            proxy_pass http://ep;
        }
EOC
    $optional .= <<"EOC" if $xslt;
        location /xslt/$kind {
            xslt_stylesheet %%DIR%%/style.xslt;
            xslt_types *;
            proxy_buffering $buffering;
            proxy_pass http://ep;
        }
EOC
}

$http =~ s/%%OPTIONAL%%/$optional/;
$t->start($http, main => $xslt ? "load_module $module;" : '');

my @counters = qw(2xx failed abandoned aborted);


subtest 'a body that gunzip cannot read' => sub {
    plan skip_all => 'nginx is without gunzip' unless $gunzip;

    my $text = join '', map { chr rand 256 } 1 .. 20_000;
    gzip(\$text => \my $body);
    substr($body, 10, 10_000) = "\xff" x 10_000;

    for my $chunked (0, 1) {
        $server->set(body => $body, chunked => $chunked,
                     headers => { 'Content-Encoding' => 'gzip' });
        is_counted("/gunzip/$_", { '2xx' => 1 },
                   "$_, chunked $chunked") for qw(buffered unbuffered);
    }
};

subtest 'a body that is no XML' => sub {
    plan skip_all => 'there is no xslt filter' unless $xslt;

    for my $chunked (0, 1) {
        $server->set(body => '<a><b></a>' x 1000, chunked => $chunked);
        is_counted("/xslt/$_", { '2xx' => 1 },
                   "$_, chunked $chunked") for qw(buffered unbuffered);
    }
};

subtest 'no room for what the client has yet to get' => sub {
    $t->allow_log(qr/temp/);
    remove_tree($t->dir . '/temp');

    for my $chunked (0, 1) {
        $server->set(body_size => 40_000_000, chunked => $chunked);
        my $before = counted();
        my $client = $t->client;
        $client->start(uri => '/disk');
        is_since($before, { '2xx' => 1 }, "chunked $chunked");
        $client->close;
    }
};

subtest 'what the release does wrong is its failure as ever' => sub {
    for my $path (qw(/ /unbuffered)) {
        for my $mode (qw(bad_chunk short short_chunked)) {
            $server->set(mode => $mode);
            is_counted($path, { '2xx' => 1, failed => 1 }, "$path: $mode");
        }
    }
};

subtest 'and clients that leave have left' => sub {
    for my $path (qw(/ /unbuffered)) {
        $server->set(body_size => 40_000_000);
        my $before = counted();
        my $client = $t->client;
        $client->start(uri => $path);
        $client->read_bytes(2);
        $client->reset;
        is_since($before, { '2xx' => 1, abandoned => 1 }, $path);
    }
};

$t->finish;


sub counted() {
    my $release = $t->release('ep', 'v1');

    return { '2xx' => $release->{responses}{'2xx'},
             map { $_ => $release->{$_} } @counters[1 .. $#counters] };
}


sub is_counted($path, $expected, $what) {
    my $before = counted();

    $t->get($path);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_since($before, $expected, $what);
}


# Counters that have risen, and by how much, when the attempt has ended.

sub is_since($before, $expected, $what) {
    my $got;

    eval {
        $t->wait_for(sub {
            my $now = counted();

            $got = { map { $_ => $now->{$_} - $before->{$_} }
                     grep { $now->{$_} != $before->{$_} } @counters };

            return $server->stats->{open} == 0 && keys %$got;
        }, 20);
    };

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply($got, $expected, $what);
}
