#!/usr/bin/perl

# What there is in the source is in the documents, and what is in the documents
# is in the source: directives with their contexts, variables, rules, paths and
# fields of the API, events, metrics, alerts, commands of canaryctl.

use v5.36;

use FindBin;

use JSON::PP qw(decode_json);
use Test::More;

my $top = "$FindBin::Bin/../..";
my $directives = page('directives');
my $api = page('api');

same('directives', { map { %$_ } map { directives($_) } sources('*') },
     { $directives =~ /^### (canary_\w+)\n+```\n.*?^Context: +(.+?)\n```/msg });

same('variables', set(map { variables($_) } sources('http')),
     set(section($directives, 'Variables') =~ /^\| `\$(\w+)`/mg));

same('rules', set(rules(slurp("$top/src/core/canary_rule.c"))),
     set(map { /`(\w+)`/g } cells($directives, qr/\| rule \| value \|.*/)));

my $openapi = decode_json(slurp("$top/src/api/openapi.json"));

same('paths of the API', set(paths($openapi)), set(documented_paths($api)));

same('types of events',
     set(@{ $openapi->{components}{schemas}{Event}{properties}{type}{enum} }),
     set(map { /`(\w+)`/g } cells($api, qr/\| type \|.*/)));

same('fields of a strategy',
     set(keys %{ $openapi->{components}{schemas}{CanaryStrategy}{properties} }),
     set(map { /`(\w+)`/g } cells($api, qr/\| field \| value \|.*/)));

my ($endpoint) = $api =~ /^(\{"name".*?)^```/ms;
my ($events, $holding) = $api =~ /^(\{"events".*|\{"id".*)$/mg;
my ($failures) = $api =~ /^(\{"failures".*)$/m;

complete(Endpoint => decode_json($endpoint));
complete(Rule => $_) for @{ decode_json($endpoint)->{rules} };
complete(Release => $_) for @{ decode_json($endpoint)->{releases} };
complete(Event => decode_json($events)->{events}[0]);
complete(Event => decode_json($holding));
complete(Failure => decode_json($failures)->{failures}[0]);

same('metrics', set(map { metrics($_) } sources('api')),
     set(map { /`(\w+)`/g } cells(page('metrics'), qr/\| metric \|.*/)));

same('alerts',
     set(slurp("$top/contrib/prometheus/alerts.yml") =~ /- alert: (\w+)/g),
     set(map { /`(\w+)`/g } cells(page('metrics'), qr/\| alert \|.*/)));

same('commands of canaryctl',
     set(slurp("$top/src/ctl/ctl_commands.c") =~ /^    \{ "(\w+)",/mg),
     set(map { /`([a-z]+)/g }
         cells(page('canaryctl'), qr/\| command \|.*/)));

done_testing;


sub same ($what, $source, $documents) {
    my @wrong = grep { ($source->{$_} // '') ne ($documents->{$_} // '') }
        sort keys %{ { %$source, %$documents } };

    ok(%$source, "there are $what");
    is(join('', map { tell_of($_, $source, $documents) } @wrong), '', $what);

    return;
}


# An example has what each answer has.

sub complete ($schema, $example) {
    my @lacks = grep { !exists $example->{$_} }
        @{ $openapi->{components}{schemas}{$schema}{required} };

    is("@lacks", '', "what an example of $schema lacks");

    return;
}


sub tell_of ($name, $source, $documents) {
    my ($is, $told) = map { $_->{$name} // 'nothing' } $source, $documents;

    return "$name: $is in the source, $told in the documents\n";
}


sub set (@names) {
    return { map { $_ => 'there' } @names };
}


# Name and contexts of what a source has in its table of directives.

sub directives ($text) {
    my @names = ([ MAIN => 'http' ], [ SRV => 'server' ], [ UPS => 'upstream' ],
                 [ LOC => 'location' ]);
    my %found;

    while ($text =~ /\{ ngx_string\("(canary_\w+)"\),\n((?:.*\n)*?.*?),\n/g) {
        my ($name, $flags) = ($1, $2);

        $found{$name} = join ', ', map { $_->[1] }
            grep { $flags =~ /NGX_HTTP_$_->[0]_CONF/ } @names;
    }

    return \%found;
}


sub variables ($text) {
    return $text =~ /\{ ngx_string\("(canary_\w+)"\), NULL,/g;
}


sub rules ($text) {
    my ($table) = $text =~ /canary_rule_info\[\w+\] = \{\n(.*?)^\};/ms;

    return $table =~ /\{ "(\w+)"/g;
}


sub metrics ($text) {
    my ($table) = $text =~ /canary_metric_t  \w+\[\] = \{\n(.*?)^\};/ms
        or return;

    return map { "nginx_canary_$_" } $table =~ /\{ "(\w+)",/g;
}


# METHOD path, with NAME for what differs.

sub paths ($openapi) {
    my @paths;

    for my $path (sort keys %{ $openapi->{paths} }) {
        my $name = $path =~ s/\{name\}/NAME/r =~ s/\{node\}/NODE/r;

        push @paths, map { uc($_) . " $name" }
            grep { $_ ne 'parameters' } keys %{ $openapi->{paths}{$path} };
    }

    return @paths;
}


# "`POST a/b`, `c`" is two paths: a/b, and a/c.

sub documented_paths ($text) {
    my @paths;

    for my $cell (cells($text, qr/\| method .*/)) {
        my ($first, @more) = $cell =~ /`(.*?)`/g;

        $first .= ' ' if $first !~ / /;
        $first =~ s{ }{ /};
        push @paths, $first, map { $first =~ s{[^/]+$}{$_}r } @more;
    }

    return @paths;
}


# The first column of the table that begins so.

sub cells ($text, $head) {
    my ($rows) = $text =~ /^$head\n\|[-|]+\n((?:\|.*\n)+)/m
        or die "no table $head";

    return $rows =~ /^\| (.*?) \|/mg;
}


sub section ($text, $heading) {
    return $text =~ /^## \Q$heading\E\n(.*?)(?=^## |\z)/ms ? $1 : '';
}


sub page ($name) {
    return slurp("$top/docs/$name.md");
}


sub sources ($room) {
    return map { slurp($_) } sort glob("$top/src/$room/*.c");
}


sub slurp ($name) {
    open my $in, '<', $name or die "$name: $!";
    local $/;

    return <$in>;
}
