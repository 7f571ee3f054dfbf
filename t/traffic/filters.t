#!/usr/bin/perl

# Bodies that nginx itself breaks off: no failure of the release, nor have its
# clients left.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Compress::Gzip qw(gzip);
use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 1);
my $server = $t->backend('v1');
my %module = map {
    $_ => "/usr/lib/nginx/modules/ngx_http_${_}_filter_module.so"
} qw(image xslt);
my ($image, $xslt) = map { -e $module{$_} } qw(image xslt);
my $sub = $t->has('http_sub');
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
    $optional .= <<"EOC" if $image;
        location /image/$kind {
            image_filter resize 10 10;
            image_filter_buffer 1m;
            proxy_buffering $buffering;
            proxy_pass http://ep;
        }
EOC
    $optional .= <<"EOC" if $sub;
        location /sub/$kind {
            sub_filter x y;
            sub_filter_once off;
            sub_filter_types *;
            proxy_buffering $buffering;
            proxy_pass http://ep;
        }
EOC
}

$http =~ s/%%OPTIONAL%%/$optional/;
$t->start($http, main => join "\n", map { "load_module $_;" }
                             grep { -e } values %module);

my @counters = qw(2xx failed abandoned aborted);
my @paths = ('/', '/unbuffered', $sub ? qw(/sub/buffered /sub/unbuffered) : ());


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

subtest 'a body that is no image, or too large for one' => sub {
    plan skip_all => 'there is no image filter' unless $image;

    my %bodies = (
        'no image'      => { body => 'no image' x 100 },
        'a broken one'  => { body => png() . 'x' x 1000 },
        'a large one'   => { body => png() . 'x' x 2_000_000 },
    );

    for my $chunked (0, 1) {
        for my $what (sort keys %bodies) {
            $server->set(%{ $bodies{$what} }, chunked => $chunked);
            is_counted("/image/$_", { '2xx' => 1 },
                "$what, $_, chunked $chunked") for qw(buffered unbuffered);
        }
    }
};

subtest 'a body that is another one by then' => sub {
    plan skip_all => 'nginx is without sub_filter' unless $sub;

    for my $chunked (0, 1) {
        $server->set(body_size => 20_000, chunked => $chunked);

        for my $kind (qw(buffered unbuffered)) {
            is_counted("/sub/$kind", { '2xx' => 1 },
                       "$kind, chunked $chunked");
            like($t->get("/sub/$kind")->body, qr/^y{20000}$/, 'it is');
        }
    }
};

subtest 'what the release does wrong is its failure as ever' => sub {
    for my $path (@paths) {
        for my $mode (qw(bad_chunk short short_chunked)) {
            $server->set(mode => $mode);
            is_counted($path, { '2xx' => 1, failed => 1 }, "$path: $mode");
        }
    }
};

subtest 'also where a filter keeps the header until it has the body' => sub {
    plan skip_all => 'there is no image filter' unless $image;

    $server->set(mode => 'bad_chunk', body => png() . 'x' x 100);
    is_counted("/image/$_", { '2xx' => 1, failed => 1 }, $_)
        for qw(buffered unbuffered);
};

subtest 'and clients that leave have left' => sub {
    for my $path (@paths) {
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


# How a picture begins.

sub png() {
    return "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x02\0\0\0";
}


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
