package Conformance::Config;

# A configuration of nginx, put behind endpoints: each upstream block becomes a
# release of an endpoint that has its name, and each address that something is
# passed to becomes one, too.

use v5.36;

use Exporter qw(import);

our @EXPORT_OK = qw(behind_endpoints);

my $upstream_of = qr/^(?:proxy|grpc|fastcgi|scgi|uwsgi|memcached|tunnel)_pass$/;
my %port_of = (http => 80, https => 443, grpc => 80, grpcs => 443);

# What is in each endpoint beside the releases, by mode; the released upstream
# is NAME__v1, or NAME__v2 where that is the one that serves.
my %endpoint = (
    idle    => { serves => ['v1'], more => '' },
    force   => { serves => ['v2'], more => 'canary_force v2;' },
    rollout => { serves => [ 'v1', 'v2' ], more => '' },
);


# The new text, and the names of its endpoints. More for the http block, if
# there are any: server; more for the upstream of an address: alone.

sub behind_endpoints($text, $mode, %more) {
    %more = (server => '', alone => '', %more);

    my @statements = _parse($text);
    my @http = grep { $_->{name} eq 'http' && $_->{body} } @statements;

    # A file that is included has no block around it.
    my $inside = @http ? $http[0]{body} : \@statements;
    my @blocks = grep { $_->{name} eq 'upstream' && $_->{body} } @$inside;
    my %known = map { $_->{args}[0] => 1 } @blocks;
    my (@edits, %added);

    for my $block (@blocks) {
        my $body = substr $text, $block->{inner}, $block->{end} - $block->{inner};

        push @edits, [ $block->{start}, $block->{end} + 1,
                       _endpoint($block->{args}[0], $body, $mode) ];
    }

    if (@http) {
        _pass($_, \%known, \%added, \@edits) for @$inside;
        my @names = (keys %known, sort values %added);
        my $endpoints = join "\n", map {
            _endpoint($added{$_}, " server $_; $more{alone}", $mode)
        } sort keys %added;

        push @edits, [ ($http[0]{end}) x 2,
                       "$endpoints\n" . (@names ? "$more{server}\n" : '') ];
    }

    for my $edit (sort { $b->[0] <=> $a->[0] } @edits) {
        substr($text, $edit->[0], $edit->[1] - $edit->[0]) = $edit->[2];
    }

    return ($text, sort keys %known, values %added);
}


sub _endpoint($name, $body, $mode) {
    my ($serves, $more) = @{ $endpoint{$mode} }{qw(serves more)};
    my %body = map { $_ => ' server 127.0.0.1:1 down; ' } qw(v1 v2);

    for my $release (@$serves) {
        $body{$release} = $body;
    }

    # A second copy has its own shared memory.
    $body{v2} =~ s/(\bzone(?:=|\s+))([\w.-]+)/$1$2__v2/g if @$serves > 1;

    return join ' ', map({ "upstream ${name}__$_ {$body{$_}}" } qw(v1 v2)),
        "upstream $name {",
        map({ "canary_release $_ ${name}__$_;" } qw(v1 v2)), $more, '}';
}


# Finds where an address is passed to, and makes it the name of an endpoint.

sub _pass($statement, $known, $added, $edits) {
    _pass($_, $known, $added, $edits) for @{ $statement->{body} // [] };

    return if $statement->{name} !~ $upstream_of;

    my $url = $statement->{args}[0] // return;
    return if $url =~ /\$/;

    my ($scheme, $address, $uri) = $url =~ m{
        ^ (?: (\w+):// )? (unix:[^:]+:? | [^/]+) (.*) $
    }x or return;
    my $port = $port_of{ $scheme // '' };

    $address =~ s/:$// if $address =~ /^unix:/;
    return if $known->{$address};
    return if $address !~ /^unix:|:\d+$/ && !$port;
    $address .= ":$port" if $address !~ /^unix:|:\d+$/;

    $added->{$address} //= 'at_' . $address =~ s/[^\w.]+/_/gr;
    push @$edits, [ $statement->{args_at}[0], $statement->{args_end}[0],
                    (defined $scheme ? "$scheme://" : '')
                    . "$added->{$address}$uri" ];

    return;
}


# Statements with their places in the text: name, args, start and end (its
# semicolon or closing brace), and of a block the body and where it begins.

sub _parse($text) {
    my @open = { body => [] };
    my $current;

    pos($text) = 0;
    while (my ($token, $start) = _token(\$text)) {
        my $end = pos $text;

        if (!defined $current && $token eq '}') {
            last if @open == 1;
            (pop @open)->{end} = $start;

        } elsif (!defined $current) {
            $current = { name => $token, args => [], start => $start };
            push @{ $open[-1]{body} }, $current;

        } elsif ($token eq ';') {
            $current->{end} = $start;
            undef $current;

        } elsif ($token eq '{') {
            $current->{body} = [];
            $current->{inner} = $end;
            push @open, $current;
            undef $current;

        } else {
            push @{ $current->{args} }, $token =~ s/^(["'])(.*)\1$/$2/sr;
            push @{ $current->{args_at} }, $start;
            push @{ $current->{args_end} }, $end;
        }
    }

    return @{ $open[0]{body} };
}


sub _token($text) {
    $$text =~ /\G(?:\s+|#[^\n]*)+/gc;

    my $start = pos($$text) // 0;

    return if $start >= length $$text;

    $$text =~ /\G(?:[;{}]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'
                 |(?:\\.|\$\{|[^\s;{\\])+)/gcsx
        or return;

    return (substr($$text, $start, pos($$text) - $start), $start);
}


1;
