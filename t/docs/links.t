#!/usr/bin/perl

# The documents: each link between them leads to a file, and to a heading if
# it names one; README is short, and leads to each page of docs.

use v5.36;

use FindBin;

use File::Basename qw(dirname);
use File::Spec::Functions qw(canonpath catfile);
use Test::More;

use constant README_LINES => 200;

my $top = "$FindBin::Bin/../..";
my @pages = sort map { s{^\Q$top\E/}{}r }
    glob("$top/*.md $top/docs/*.md $top/docs/*/*.md $top/t/*/*.md");
my %text = map { $_ => slurp("$top/$_") } @pages;
my %anchors = map { $_ => anchors($text{$_}) } @pages;
my %linked;

for my $page (@pages) {
    my @broken = grep { broken($page, $_) } links($text{$page});

    is("@broken", '', "links of $page");
}

my $lines = ($text{'README.md'} =~ tr/\n//);
cmp_ok($lines, '<=', README_LINES, 'README is read in one go');

ok($linked{'README.md'}{$_}, "README leads to $_")
    for grep { m{^docs/} } @pages;

done_testing;


# Why a link leads nowhere, or nothing.

sub broken ($page, $link) {
    return '' if $link =~ m{^(?:https?|mailto):};

    my ($path, $anchor) = split /#/, $link, 2;
    my $file = length $path ? catfile(dirname($page), $path) : $page;

    $file = canonpath($file);
    1 while $file =~ s{(?:^|(?<=/))(?!\.\./)[^/]+/\.\./}{};
    $linked{$page}{$file} = 1;

    return 1 unless -e "$top/$file";
    return 0 unless defined $anchor;

    return !$anchors{$file}{$anchor};
}


sub links ($text) {
    $text = prose($text);

    return $text =~ /\]\(([^()\s]+)\)/g;
}


# As GitHub makes them of headings; the second of a name gets a number.

sub anchors ($text) {
    my (%seen, %anchors);

    for my $heading (prose($text) =~ /^#+ +(.+?) *$/mg) {
        my $slug = lc $heading =~ s/`//gr =~ s/\[(.*?)\]\(.*?\)/$1/gr;

        $slug =~ s/[^\w\- ]//g;
        $slug =~ s/ /-/g;
        $anchors{ $seen{$slug}++ ? "$slug-" . ($seen{$slug} - 1) : $slug } = 1;
    }

    return \%anchors;
}


# Without blocks of code.

sub prose ($text) {
    return $text =~ s/^```.*?^```$//gmsr;
}


sub slurp ($name) {
    open my $in, '<', $name or die "$name: $!";
    local $/;

    return <$in>;
}
